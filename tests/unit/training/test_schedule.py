"""The arithmetic of a run."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.config.schema import OptimConfig, RunConfig
from dual_hpc.training.schedule import (
    TrainingSchedule,
    is_better,
    lr_factor,
    may_choose,
    save_by_clock,
    saves_now,
    total_steps,
)

sizes = st.integers(1, 500)


@given(sizes, sizes, st.integers(1, 20))
def test_every_sample_is_seen_as_often_as_there_are_epochs(samples: int, batch: int, epochs: int) -> None:
    steps = total_steps(samples, batch, epochs, None)
    assert (steps - 1) * batch < epochs * samples <= steps * batch
    assert total_steps(samples, batch, epochs, 3) == min(steps, 3)


@given(sizes, sizes, st.integers(1, 20))
def test_each_epoch_ends_in_one_step_unless_steps_are_longer_than_epochs(samples: int, batch: int, epochs: int) -> None:
    total = total_steps(samples, batch, epochs, None)
    schedule = TrainingSchedule(samples, batch, total)
    ends = [step for step in range(1, total + 1) if schedule.ends_epoch(step)]
    assert ends == sorted({math.ceil(samples * epoch / batch) for epoch in range(1, epochs + 1)} | {total})


def test_logs_validations_and_saves_by_count_include_the_last_step() -> None:
    schedule = TrainingSchedule(100, 10, 25, validate_every=10, save_every=7, log_every=10)
    assert [step for step in range(1, 26) if schedule.logs(step)] == [1, 10, 20, 25]
    assert [step for step in range(1, 26) if schedule.validates(step)] == [10, 20, 25]
    assert [step for step in range(1, 26) if schedule.saves(step)] == [7, 14, 21, 25]


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


@given(st.integers(1, 500), st.integers(1, 500), st.floats(0, 0.9), st.floats(0, 1))
def test_a_run_that_is_made_longer_keeps_its_learning_rate_and_ends_at_the_final_one(
    planned: int, added: int, warmup: float, final: float
) -> None:
    optim = OptimConfig(warmup_fraction=warmup, final_lr_fraction=final)
    longer = optim.model_copy(update={"decay_steps": planned})
    rates = [lr_factor(step, planned + added, longer) for step in range(1, planned + added + 1)]
    assert rates[:planned] == [lr_factor(step, planned, optim) for step in range(1, planned + 1)]
    if planned > round(planned * warmup):
        assert all(math.isclose(rate, final, abs_tol=1e-9) for rate in rates[planned:])


def test_a_due_save_waits_for_a_finite_step_unless_the_run_ends() -> None:
    table = {(due, bad, last): saves_now(due, bad, last) for due in (0, 1) for bad in (0, 1) for last in (0, 1)}  # type: ignore[arg-type]
    assert [case for case, saves in table.items() if saves] == [(1, 0, 0), (1, 0, 1), (1, 1, 1)]


def test_a_save_is_due_by_the_clock_after_so_many_minutes() -> None:
    assert not save_by_clock(120.0, 2.0) and save_by_clock(120.1, 2.0)


def test_of_the_early_validations_only_the_first_number_may_choose() -> None:
    assert [may_choose(step, 8, best) for step, best in ((1, None), (2, math.nan), (3, 0.5), (7, 0.5), (8, 0.5))] == [
        *(True, True, False, False, True)
    ]
    assert may_choose(1, 0, 0.5)
    for share, first in ((0.0, 0), (0.8, 20), (0.75, 19)):
        config = RunConfig.model_validate({"training": {"select_from": share, "max_steps": 25, "epochs": 9}})
        assert TrainingSchedule.of(config, 10_000).selects_from == first


def test_a_score_is_better_than_none_than_nan_and_than_a_smaller_one() -> None:
    nan = math.nan
    assert all(is_better(*pair) for pair in ((0.1, None), (nan, None), (0.1, nan), (0.2, 0.1)))
    assert not any(is_better(*pair) for pair in ((0.1, 0.1), (0.1, 0.2), (nan, 0.1)))
    assert is_better(0.1, 0.2, higher_is_better=False) and not is_better(0.2, 0.1, higher_is_better=False)
