"""BatchNorm with the statistics of pretraining."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dual_hpc.model.encoders.frozen_norm import FrozenBatchNorm, freeze_batch_norms


def test_it_equals_batch_norm_in_evaluation_whatever_the_mode() -> None:
    norm = nn.BatchNorm2d(3)
    for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        nn.init.uniform_(tensor, 0.5, 2)
    model = nn.Sequential(nn.Sequential(norm))
    names, x = set(model.state_dict()), torch.randn(2, 3, 4, 4)
    expected = model.eval()(x)
    freeze_batch_norms(model)
    assert isinstance(model[0][0], FrozenBatchNorm) and set(model.state_dict()) == names
    torch.testing.assert_close(model.train()(x), expected)
    assert model.to(torch.bfloat16)(x.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 3, 4, 4)])
def test_it_is_rounded_once_in_every_precision_and_learns_its_affine_part(
    dtype: torch.dtype, shape: tuple[int, ...]
) -> None:
    norm = FrozenBatchNorm(nn.BatchNorm2d(3))
    for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        nn.init.uniform_(tensor, 0.5, 2)
    x = torch.randn(shape, dtype=dtype)
    with torch.no_grad():  # an engine casts parameters and leaves buffers
        norm.weight.data, norm.bias.data = norm.weight.data.to(dtype), norm.bias.data.to(dtype)
    wide = [
        each.detach().double().view(-1, *(1,) * (len(shape) - 2))
        for each in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    ]
    expected = (x.double() - wide[0]) * torch.rsqrt(wide[1] + norm.eps) * wide[2] + wide[3]
    out = norm(x)
    assert out.dtype == dtype
    torch.testing.assert_close(
        out, expected.to(dtype), rtol=2 * torch.finfo(dtype).eps, atol=4 * torch.finfo(dtype).eps
    )
    out.sum().backward()
    assert norm.weight.grad is not None and norm.bias.grad is not None and norm.weight.grad.dtype == dtype
