"""GroupNorm that does not see padding."""

from __future__ import annotations

import torch
from torch import nn

from dual_hpc.model.encoders.masked_norm import MaskedGroupNorm


def test_each_sequence_is_normalised_as_if_it_were_alone() -> None:
    plain = nn.GroupNorm(4, 4)
    nn.init.normal_(plain.weight), nn.init.normal_(plain.bias)
    masked = MaskedGroupNorm.replacing(plain)
    x, lengths = torch.randn(3, 4, 9) * 3 + 1, [9, 5, 1]
    for row, length in enumerate(lengths):
        x[row, :, length:] = float("nan")
    masked.lengths = torch.tensor(lengths)
    out = masked(x)
    for row, length in enumerate(lengths[:2]):
        torch.testing.assert_close(out[row, :, :length], plain(x[row : row + 1, :, :length])[0], atol=1e-5, rtol=1e-5)
    assert out.isfinite().all()


def test_it_keeps_the_parameters_of_the_norm_it_replaces() -> None:
    plain = nn.GroupNorm(4, 4)
    masked = MaskedGroupNorm.replacing(plain)
    assert masked.weight is plain.weight and set(masked.state_dict()) == set(plain.state_dict())
