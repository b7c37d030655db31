"""What `training.tf32` and `training.deterministic` set, and that nothing of it outlives a training."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from dual_hpc.model.arithmetic import arithmetic


def state() -> dict[str, Any]:
    cuda, cudnn = torch.backends.cuda, torch.backends.cudnn
    return {
        "matmul": cuda.matmul.allow_tf32,
        "cudnn": cudnn.allow_tf32,
        "algorithms": torch.are_deterministic_algorithms_enabled(),
        "warn only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "cudnn deterministic": cudnn.deterministic,
        "cudnn benchmark": cudnn.benchmark,
        "attention": (
            cuda.flash_sdp_enabled(),
            cuda.mem_efficient_sdp_enabled(),
            cuda.cudnn_sdp_enabled(),
            cuda.math_sdp_enabled(),
        ),
    }


@pytest.mark.parametrize("tf32", [False, True])
@pytest.mark.parametrize("deterministic", [False, True])
def test_what_is_asked_for_is_set_and_put_back(tf32: bool, deterministic: bool) -> None:
    before = state()
    with pytest.raises(KeyError), arithmetic(tf32, deterministic):
        now = state()
        raise KeyError
    assert state() == before
    assert now["matmul"] == now["cudnn"] == tf32  # torch's own: no and yes
    assert now["algorithms"] == now["cudnn deterministic"] == deterministic and not now["warn only"]
    assert now["attention"] == ((False, False, False, True) if deterministic else before["attention"])


def gradients(deterministic: bool) -> list[torch.Tensor]:
    torch.manual_seed(3)
    layers = nn.ModuleList([nn.Embedding(9, 8), nn.LSTM(8, 8, batch_first=True), nn.Conv1d(8, 8, 3)])
    with arithmetic(deterministic=deterministic):
        x, _ = layers[1](layers[0](torch.arange(20).reshape(2, 10) % 9))
        x = nn.functional.scaled_dot_product_attention(x, x, x)
        layers[2](x.transpose(1, 2)).square().sum().backward()
    return [p.grad for p in layers.parameters() if p.grad is not None]


def test_the_cpu_computes_the_same_bits_with_and_without() -> None:
    plain, strict, again = gradients(False), gradients(True), gradients(True)
    assert len(plain) == 7 and all(torch.equal(a, b) for a, b in zip(plain, strict, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(strict, again, strict=True))


def test_an_operation_that_has_no_such_algorithm_is_an_error_and_no_warning() -> None:
    index = torch.zeros(2, dtype=torch.long)
    with (
        arithmetic(deterministic=True),
        pytest.raises(RuntimeError, match="not have a deterministic implementation"),
    ):
        torch.zeros(3).put_(index, torch.ones(2))
