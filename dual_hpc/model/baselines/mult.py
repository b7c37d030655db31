"""A crossmodal transformer centred on text, in the style of MulT.

After Tsai et al., *Multimodal Transformer for Unaligned Multimodal Language Sequences* (ACL 2019). There each of three
modalities is enriched by the two others. Simplified: text alone is, by sound and by pictures, which is the part that
carries the results in that paper; no convolutions before the attention but the projections that all families share;
sound and pictures lie on the common time grid, words are steps of their own, unaligned with it; attention pooling
instead of the last element.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from dual_hpc.errors import UserError
from dual_hpc.model.attention import FeedForward, MultiHeadAttention
from dual_hpc.model.baselines.configuration import BaselineConfig, BaselineOptions, check_width
from dual_hpc.model.baselines.matched import AsLargeAsDual, depth_of_dual
from dual_hpc.model.baselines.sequences import AllSteps, TokenSequence
from dual_hpc.model.baselines.tower import Tower
from dual_hpc.model.emotion_model import EmotionModel
from dual_hpc.model.family import ModelFamily, register_family
from dual_hpc.model.output import EmotionOutput

if TYPE_CHECKING:
    from dual_hpc.config.schema import ModelConfig


class MultConfig(BaselineConfig):
    model_type = "mult"


class CrossmodalLayer(nn.Module):
    """Attention of the target over the source, and a feed-forward network, each on a residual, pre-norm."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.target_norm = nn.LayerNorm(width)
        self.source_norm = nn.LayerNorm(width)
        self.attention = MultiHeadAttention(width, heads, dropout)
        self.forward_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, source: torch.Tensor, source_mask: torch.Tensor) -> torch.Tensor:
        """x [B, L, W] over source [B, T, W] with bool source_mask [B, T] -> [B, L, W]."""
        x = x + self.dropout(self.attention(self.target_norm(x), self.source_norm(source), source_mask))
        return x + self.dropout(self.feed_forward(self.forward_norm(x)))


class Mult(EmotionModel):
    """Words look at sound and at pictures, each in a stack of its own; what they found is joined and attends to itself.

    Every layer of a stack reads the source's first features, not another layer's. Of a sample without words the
    learned token alone looks.
    """

    config_class = MultConfig

    def __init__(self, config: MultConfig) -> None:
        super().__init__(config)
        options = config.option
        width, layers, heads, dropout = options["width"], options["layers"], config.num_heads, config.dropout
        self.steps = AllSteps(self, width)
        self.sequences = nn.ModuleDict({name: TokenSequence(width) for name in self.steps})
        self.other = [name for name in self.steps if name != "text"]
        self.crossmodal = nn.ModuleList(
            [CrossmodalLayer(width, heads, dropout) for _ in self.other for _ in range(layers)]
        )
        joint = width * len(self.other)
        self.tower = Tower(joint, layers, heads, dropout)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(joint, config.outputs))
        self.ready()

    def blocks(self) -> list[nn.Module]:
        return [*self.crossmodal, *self.tower.layers]

    def forward(self, *, durations: torch.Tensor, labels: torch.Tensor | None = None, **batch: Any) -> EmotionOutput:
        """One batch of utterances; see `SingleModality.forward`."""
        steps = self.steps(self.encode(batch), durations)
        placed = {name: self.sequences[name](*one) for name, one in steps.items()}
        words, mask = placed["text"]
        found = []
        depth = len(self.crossmodal) // len(self.other)
        for number, name in enumerate(self.other):
            x = words
            for layer in self.crossmodal[number * depth : (number + 1) * depth]:
                x = layer(x, *placed[name])
            found.append(x)
        return self.answer(self.head(self.tower(torch.cat(found, dim=-1), mask)), labels)


def check(model: ModelConfig) -> None:
    """It has nothing to look with without text, and nothing to look at without sound and pictures.

    Raises:
        UserError: names the settings.
    """
    if not model.use_text or not (model.use_audio or model.use_video):
        raise UserError(
            "model.family=mult reads text, and audio or video with it; switch on what is off of model.use_*"
        )
    check_width(model)


register_family(
    ModelFamily(MultConfig, Mult, options=BaselineOptions, check=check, complete=AsLargeAsDual(depth_of_dual))
)
