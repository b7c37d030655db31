"""In place of an encoder that has run already, in `dual-hpc extract`: features pass through.

`encoder` is the identity of the encoder that made them, as the index of their shards spells it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from dual_hpc.model.encoders.base import Encoder, OwnEncoder
from dual_hpc.model.encoders.registry import AUDIO, FEATURES, TEXT, VIDEO
from dual_hpc.model.encoders.stack import LayerMix
from dual_hpc.model.masking import blank, pad_steps, prefix_mask


class StoredFeatures(Encoder):
    """No layers: the alignment's projection is the first thing that learns.

    Args:
        width: of what is stored.
        layers: of several layers side by side (`extract --layers all`): so many, of which a weighted sum is learned.
    """

    def __init__(self, width: int, encoder: str = "", layers: int = 1) -> None:
        super().__init__()
        if layers < 1 or width % layers:
            raise ValueError(f"width {width} is not that of {layers} layers side by side")
        self.output_size = width // layers
        self.mix = LayerMix(range(layers)) if layers > 1 else None

    def layers(self) -> Sequence[nn.Module]:
        return []

    def _valid(self, features: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, S, E] and lengths [B] -> [B, max(S, 1), E], zero beyond lengths, and the mask of what is valid."""
        features = pad_steps(features, 1)
        if self.mix is not None:
            features = self.mix(features.unflatten(2, (len(self.mix.numbers), self.output_size)).unbind(2))
        mask = prefix_mask(lengths, features.shape[1])
        return blank(features, mask), mask


class StoredAudio(StoredFeatures):
    """Audio features, `rate_hz` of them per second."""

    def __init__(self, width: int, rate_hz: float, encoder: str = "", layers: int = 1) -> None:
        super().__init__(width, encoder, layers)
        self.rate_hz = rate_hz

    def forward(self, features: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """features [B, S, E] and lengths [B] -> the same, zero beyond lengths."""
        return self._valid(features, lengths)[0], lengths


class StoredVideo(StoredFeatures):
    """One vector per frame."""

    def forward(self, features: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """features [B, F, E] and lengths [B] -> the same features, zero beyond lengths."""
        return self._valid(features, lengths)[0]


class StoredText(StoredFeatures):
    """One vector per token."""

    def forward(self, features: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """features [B, L, E] and lengths [B] -> the same features, zero beyond lengths, and their mask, bool."""
        return self._valid(features, lengths)


AUDIO.register(FEATURES, OwnEncoder(StoredAudio))
VIDEO.register(FEATURES, OwnEncoder(StoredVideo))
TEXT.register(FEATURES, OwnEncoder(StoredText))
