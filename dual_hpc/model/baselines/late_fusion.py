"""Late fusion: each modality answers on its own, and the answers are averaged. The simplest model to compare with."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import torch
from pydantic import Field
from torch import nn

from dual_hpc.model.baselines.configuration import BaselineConfig, BaselineOptions, check_width
from dual_hpc.model.baselines.matched import AsLargeAsDual, depth_of_dual
from dual_hpc.model.baselines.sequences import AllSteps, TokenSequence, encoders_of
from dual_hpc.model.baselines.tower import Tower
from dual_hpc.model.emotion_model import EmotionModel
from dual_hpc.model.family import ModelFamily, register_family
from dual_hpc.model.masking import blank, full_precision, prefix_mask
from dual_hpc.model.output import EmotionOutput


class LateFusionOptions(BaselineOptions):
    """`layers: 0`: nothing between the encoders' means and the heads."""

    layers: int | None = Field(None, ge=0, le=100, description="none: as many as lie one after another in DUAL")


class LateFusionConfig(BaselineConfig):
    """Without options it is as it was before it had any: no layers between encoders and heads."""

    model_type = "late_fusion"
    option_class = LateFusionOptions
    default_layers: ClassVar[int] = 0


class LateFusion(EmotionModel):
    """Encoder, self-attention and pooling, dropout and a linear head per modality; logits averaged over those present.

    With `layers: 0` the mean over the encoder's valid steps takes the place of attention. A missing modality has length
    zero and weight zero in the average: every sample runs the same graph. A sample without any modality has equal
    logits.
    """

    config_class = LateFusionConfig

    def __init__(self, config: LateFusionConfig) -> None:
        super().__init__(config)
        options = config.option
        encoders = encoders_of(self)
        sizes = {name: encoder.output_size for name, encoder in encoders.items()}
        self.steps = self.sequences = self.towers = None
        if options["layers"]:
            width = options["width"]
            sizes = dict.fromkeys(encoders, width)
            self.steps = AllSteps(self, width)
            self.sequences = nn.ModuleDict({name: TokenSequence(width) for name in encoders})
            self.towers = nn.ModuleDict(
                {name: Tower(width, options["layers"], config.num_heads, config.dropout) for name in encoders}
            )
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Dropout(config.dropout), nn.Linear(size, config.outputs))
                for name, size in sizes.items()
            }
        )
        self.ready()

    def blocks(self) -> list[nn.Module]:
        return (
            [] if self.towers is None else [layer for one in self.towers.values() for layer in cast(Tower, one).layers]
        )

    def forward(self, *, durations: torch.Tensor, labels: torch.Tensor | None = None, **batch: Any) -> EmotionOutput:
        """One batch of utterances; see `SingleModality.forward`."""
        found = self.encode(batch)
        present = torch.stack([lengths > 0 for _, lengths in found.values()])  # [M, B]
        answers = torch.stack([self.heads[name](x).float() for name, x in self._vectors(found, durations).items()])
        weights = present / present.sum(dim=0).clamp_min(1)
        return self.answer((answers * weights.unsqueeze(-1)).sum(dim=0), labels)

    def _vectors(
        self, found: dict[str, tuple[torch.Tensor, torch.Tensor]], durations: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Modality -> what its head reads, [B, E]."""
        if self.steps is None or self.sequences is None or self.towers is None:
            return {name: mean_over_steps(*one) for name, one in found.items()}
        steps = self.steps(found, durations)
        return {name: self.towers[name](*self.sequences[name](*one)) for name, one in steps.items()}


def mean_over_steps(features: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """[B, S, E] with valid lengths [B] -> [B, E]; zero where there is no step. Padding takes no part."""
    with full_precision(features):
        total = blank(features, prefix_mask(lengths, features.shape[1])).float().sum(dim=1)
        return (total / lengths.clamp_min(1).unsqueeze(1)).to(features.dtype)


register_family(
    ModelFamily(
        LateFusionConfig,
        LateFusion,
        options=LateFusionOptions,
        check=check_width,
        complete=AsLargeAsDual(depth_of_dual),
    )
)
