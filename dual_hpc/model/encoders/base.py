"""What the three kinds of encoders share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class Encoder(nn.Module):
    """A module whose output has `output_size` features and whose `layers()` can be frozen from the bottom."""

    output_size: int
    frozen = False

    def layers(self) -> Sequence[nn.Module]:
        """Parts from bottom to top, those that `trainable: n` counts."""
        raise NotImplementedError

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the parameters, to which inputs are cast (an engine may have changed it)."""
        return next(self.parameters()).dtype

    def train(self, mode: bool = True) -> Encoder:
        """A frozen encoder stays in evaluation mode: its dropout would be noise that nothing can learn to use."""
        return super().train(mode and not self.frozen)
