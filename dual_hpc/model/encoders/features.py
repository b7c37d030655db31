"""In place of an encoder that has run already, in `dual-hpc extract`: features pass through.

`encoder` is the identity of the encoder that made them, as the index of their shards spells it. Features by several
encoders come side by side (`dual_hpc/side_by_side.py`), and `parts` says of each what the arguments say of one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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
        parts: `width` and `layers` of each of several encoders; of each a sum of its own is learned.
    """

    def __init__(
        self, width: int, encoder: str = "", layers: int = 1, parts: Sequence[Mapping[str, Any]] | None = None
    ) -> None:
        super().__init__()
        counts = [(int(one["width"]), int(one.get("layers", 1))) for one in parts or ()] or [(width, layers)]
        if sum(size for size, _ in counts) != width or any(n < 1 or size < 1 or size % n for size, n in counts):
            told = ", ".join(f"{n} layers in {size}" for size, n in counts) if parts else f"{layers} layers"
            raise ValueError(f"width {width} is not that of {told}")
        self._widths = [size for size, _ in counts]
        self.output_size = sum(size // n for size, n in counts)
        mixes = [LayerMix(range(n)) if n > 1 else None for _, n in counts]
        # Of one encoder called as in models of before there could be several.
        self.mix = mixes[0] if len(mixes) == 1 else None
        self.mixes = nn.ModuleDict({str(k): one for k, one in enumerate(mixes) if one and len(mixes) > 1})

    def layers(self) -> Sequence[nn.Module]:
        return []

    def _valid(self, features: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, S, E] and lengths [B] -> [B, max(S, 1), E], zero beyond lengths, and the mask of what is valid."""
        features = pad_steps(features, 1)
        mixes: dict[int, Any] = {0: self.mix} if self.mix is not None else {int(k): m for k, m in self.mixes.items()}
        if mixes:
            parts = list(features.split(self._widths, dim=2))
            for k, mix in mixes.items():
                parts[k] = mix(parts[k].unflatten(2, (len(mix.numbers), -1)).unbind(2))
            features = torch.cat(parts, dim=2)
        mask = prefix_mask(lengths, features.shape[1])
        return blank(features, mask), mask


class StoredAudio(StoredFeatures):
    """Audio features, `rate_hz` of them per second."""

    def __init__(self, width: int, rate_hz: float, **further: Any) -> None:
        super().__init__(width, **further)
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
