"""The arithmetic of a run."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.config.schema import OptimConfig
from dual_hpc.training.schedule import Plan, lr_factor, total_steps

sizes = st.integers(1, 500)


@given(sizes, sizes, st.integers(1, 20))
def test_every_sample_is_seen_as_often_as_there_are_epochs(samples: int, batch: int, epochs: int) -> None:
    steps = total_steps(samples, batch, epochs, None)
    assert (steps - 1) * batch < epochs * samples <= steps * batch
    assert total_steps(samples, batch, epochs, 3) == min(steps, 3)


@given(sizes, sizes, st.integers(1, 20))
def test_each_epoch_ends_in_one_step_unless_steps_are_longer_than_epochs(samples: int, batch: int, epochs: int) -> None:
    total = total_steps(samples, batch, epochs, None)
    plan = Plan(samples, batch, total)
    ends = [step for step in range(1, total + 1) if plan.ends_epoch(step)]
    assert ends == sorted({math.ceil(samples * epoch / batch) for epoch in range(1, epochs + 1)} | {total})


def test_validation_and_saves_by_count_include_the_last_step() -> None:
    plan = Plan(100, 10, 25, validate_every=10, save_every=7)
    assert [step for step in range(1, 26) if plan.validates(step)] == [10, 20, 25]
    assert [step for step in range(1, 26) if plan.saves(step)] == [7, 14, 21, 25]


@given(st.integers(1, 2000), st.floats(0, 0.9), st.floats(0, 1))
def test_the_learning_rate_rises_to_its_peak_and_falls_to_its_end(total: int, warmup: float, final: float) -> None:
    optim = OptimConfig(warmup_fraction=warmup, final_lr_fraction=final)
    factors = [lr_factor(step, total, optim) for step in range(1, total + 1)]
    peak = max(range(total), key=factors.__getitem__)
    assert all(0 < factor <= 1 or final == 0 for factor in factors)
    assert factors[: peak + 1] == sorted(factors[: peak + 1])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)
    if total > round(total * warmup):
        assert math.isclose(factors[-1], final, abs_tol=1e-9)
    if round(total * warmup):
        assert math.isclose(max(factors), 1.0)
