"""Early fusion: all modalities in one sequence, from the first layer on.

After the single-stream transformers, as the "vanilla self-attention" of Nagrani et al., *Attention Bottlenecks for
Multimodal Fusion* (2021), which they compare with. Simplified: no patches of pictures and spectrograms, but the steps
of the encoders that all families share, sound and pictures on the common time grid; trained from scratch above them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from dual_hpc.model.baselines.configuration import BaselineConfig, BaselineOptions, check_width
from dual_hpc.model.baselines.matched import AsLargeAsDual, depth_of_dual
from dual_hpc.model.baselines.sequences import AllSteps, TokenSequence
from dual_hpc.model.baselines.tower import Tower
from dual_hpc.model.emotion_model import EmotionModel
from dual_hpc.model.family import ModelFamily, register_family
from dual_hpc.model.output import EmotionOutput


class EarlyFusionConfig(BaselineConfig):
    model_type = "early_fusion"


class EarlyFusion(EmotionModel):
    """Each modality's token and steps, marked by a learned vector, one after another in one transformer.

    Every modality's token is always there, so a sample without any has something to attend to.
    """

    config_class = EarlyFusionConfig

    def __init__(self, config: EarlyFusionConfig) -> None:
        super().__init__(config)
        options = config.option
        width = options["width"]
        self.steps = AllSteps(self, width)
        self.sequences = nn.ModuleDict({name: TokenSequence(width) for name in self.steps})
        self.marks = nn.ParameterDict({name: nn.Parameter(torch.randn(width) * 0.02) for name in self.steps})
        self.tower = Tower(width, options["layers"], config.num_heads, config.dropout)
        self.head = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(width, config.outputs))
        self.ready()

    def blocks(self) -> list[nn.Module]:
        return list(self.tower.layers)

    def forward(self, *, durations: torch.Tensor, labels: torch.Tensor | None = None, **batch: Any) -> EmotionOutput:
        """One batch of utterances; see `SingleModality.forward`."""
        parts = [
            (x + self.marks[name].to(x.dtype), mask)
            for name, steps in self.steps(self.encode(batch), durations).items()
            for x, mask in [self.sequences[name](*steps)]
        ]
        x, mask = (torch.cat(part, dim=1) for part in zip(*parts, strict=True))
        return self.answer(self.head(self.tower(x, mask)), labels)


register_family(
    ModelFamily(
        EarlyFusionConfig,
        EarlyFusion,
        options=BaselineOptions,
        check=check_width,
        complete=AsLargeAsDual(depth_of_dual),
    )
)
