"""The loss scale around DeepSpeed's own scalers, which end the process or go on for ever at the smallest scale."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from dual_hpc.training.loss_scale import LossScale


class Optimizer:
    """The part of DeepSpeed's optimizers around their scaler."""

    def __init__(self, stage: int) -> None:
        from deepspeed.runtime.fp16.loss_scaler import DynamicLossScaler, LossScaleConfig, LossScaleProfile

        if stage == 0:
            self.loss_scale_config = LossScaleConfig(
                torch.float16, True, 1.0, None, profile=LossScaleProfile.UNFUSED, initial_dynamic_scale=None
            )
        else:
            self.loss_scaler = DynamicLossScaler(2.0**16, 1000, 1, 2, False)

    @property
    def loss_scale(self) -> float:
        return (self.loss_scale_config if hasattr(self, "loss_scale_config") else self.loss_scaler).cur_scale


def engine(optimizer: object, fp16: bool = True) -> Any:
    return SimpleNamespace(optimizer=optimizer, fp16_enabled=lambda: fp16)


def test_an_overflow_at_the_smallest_scale_raises_nothing_even_after_a_checkpoint_was_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("deepspeed.runtime.fp16.loss_scaler.dist", SimpleNamespace(get_rank=lambda: 1))
    optimizer = Optimizer(1)
    scale = LossScale(engine(optimizer))
    smallest = []
    for step in range(20):
        if step == 10:
            optimizer.loss_scaler = Optimizer(1).loss_scaler  # as DeepSpeed's load_checkpoint does
            optimizer.loss_scaler.cur_scale = 64.0
        scale.allow_smallest()
        smallest.append(scale.is_smallest)
        optimizer.loss_scaler.update_scale(True)
    assert not any(smallest[:16]) and all(smallest[17:])
    assert scale.value == 1


def test_zero_0_gets_the_factor_that_deepspeed_divides_by() -> None:
    scale = LossScale(engine(Optimizer(0)))
    assert scale.scale(torch.tensor(2.0)) == 2.0 * 2**16
    assert scale.unscale(3.0 * 2**16, 2.0**16) == 3.0
    assert not scale.is_smallest


def test_the_other_stages_scale_for_themselves() -> None:
    scale = LossScale(engine(Optimizer(1)))
    assert scale.scale(torch.tensor(2.0)) == 2.0
    assert scale.unscale(3.0, 2.0**16) == 3.0


def test_without_fp16_there_is_no_scale_to_halve() -> None:
    scale = LossScale(engine(Optimizer(1), fp16=False))
    scale.allow_smallest()
    assert scale.is_smallest and scale.value == 1.0
