"""GroupNorm over time that does not see padding: the one place where wav2vec 2.0 base mixes valid steps with it."""

from __future__ import annotations

import torch
from torch import nn

from dual_hpc.model.masking import blank, full_precision, prefix_mask


class MaskedGroupNorm(nn.GroupNorm):
    """`nn.GroupNorm` with one channel per group and statistics over each sequence's valid steps.

    transformers calls it deep inside its own modules with the features alone, so the lengths are left here before each
    forward pass.
    """

    lengths: torch.Tensor | None = None

    @classmethod
    def replacing(cls, norm: nn.GroupNorm) -> MaskedGroupNorm:
        """The masked form of a norm, with the same parameters under the same names."""
        assert norm.num_groups == norm.num_channels
        masked = cls(norm.num_groups, norm.num_channels, norm.eps, norm.affine, device="meta")
        masked.weight, masked.bias = norm.weight, norm.bias
        return masked

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, S] -> [B, C, S]; steps beyond a length are finite but mean nothing."""
        assert self.lengths is not None
        with full_precision(x):
            wide = x.float()
            mask = prefix_mask(self.lengths, x.shape[2]).unsqueeze(1)
            count = self.lengths.clamp_min(1).view(-1, 1, 1)
            mean = wide.masked_fill(~mask, 0).sum(2, keepdim=True) / count
            centred = (wide - mean).masked_fill(~mask, 0)
            spread = torch.rsqrt(centred.square().sum(2, keepdim=True) / count + self.eps)
            out = centred * (spread * self.weight.float().view(1, -1, 1)) + self.bias.float().view(1, -1, 1)
        return out.to(x.dtype)


class MaskedInput:
    """Blanks what a module over time is given beyond each sequence's length, whatever the layer before made of it.

    The module takes [B, C, S] as its only argument; `lengths` [B] are left here before each forward pass.
    """

    lengths: torch.Tensor | None = None

    def __init__(self, module: nn.Module) -> None:
        module.register_forward_pre_hook(self._blank)

    def _blank(self, module: nn.Module, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        assert self.lengths is not None
        (x,) = arguments
        return (blank(x.transpose(1, 2), prefix_mask(self.lengths, x.shape[2])).transpose(1, 2),)
