"""BatchNorm with the statistics of pretraining."""

from __future__ import annotations

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
