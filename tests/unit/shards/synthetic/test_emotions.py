from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.synthetic.emotions import EMOTIONS, LEVELS, PERIOD, perform

PAIRS = [("anger", "joy"), ("fear", "surprise"), ("frustration", "excitement")]


def course(emotion: str, seed: int, weak: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Activation over 400 s, sampled every 10 ms, and its derivative."""
    performance = perform(np.random.default_rng(seed), emotion, 400.0)
    values = performance.activation(np.arange(0, 400, 0.01), weak)
    return values, np.diff(values)


@given(st.sampled_from(sorted(EMOTIONS)), st.integers(0, 1000), st.floats(0.06, 40))
def test_activation_stays_between_0_and_1(emotion: str, seed: int, duration: float) -> None:
    performance = perform(np.random.default_rng(seed), emotion, duration)
    values = performance.activation(np.linspace(0, duration, 200), weak=False)
    assert values.min() >= 0 and values.max() <= 1


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_a_dynamics_pair_has_the_same_levels_and_the_same_values_over_time(one: str, other: str) -> None:
    assert set(EMOTIONS[one].levels) & set(EMOTIONS[other].levels) == set(EMOTIONS[other].levels)
    quantiles = [np.quantile(course(emotion, seed=1)[0], np.linspace(0, 1, 21)) for emotion in (one, other)]
    np.testing.assert_allclose(quantiles[0], quantiles[1], atol=0.02)
    np.testing.assert_allclose(quantiles[0], np.linspace(0, 1, 21), atol=0.02)


def test_happiness_and_excitement_together_have_the_levels_of_anger() -> None:
    both = EMOTIONS["happiness"].levels + EMOTIONS["excitement"].levels
    assert sorted(both) == sorted(EMOTIONS["anger"].levels)


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_a_dynamics_pair_differs_in_the_time_spent_rising(one: str, other: str) -> None:
    rising = [np.mean(course(emotion, seed=2)[1] > 0) for emotion in (one, other)]
    assert abs(rising[0] - rising[1]) > 0.3


def test_a_weak_expression_has_hardly_a_direction() -> None:
    assert abs(np.mean(course("anger", seed=2, weak=True)[1] > 0) - 0.5) < 0.1


def test_the_phase_at_the_start_is_uniform() -> None:
    starts = [perform(np.random.default_rng(k), "joy", 2.0).activation(np.zeros(1), False)[0] for k in range(400)]
    assert np.abs(np.quantile(starts, [0.25, 0.5, 0.75]) - [0.25, 0.5, 0.75]).max() < 0.15


def test_a_cycle_is_seen_at_five_pictures_per_second() -> None:
    lengths = np.diff(perform(np.random.default_rng(0), "fear", 60.0).cycles)
    assert lengths.min() >= PERIOD[0] >= 5 / 5 and lengths.max() <= PERIOD[1]


def test_static_emotions_differ_in_level() -> None:
    static = [LEVELS[level] for e in EMOTIONS.values() if e.dynamics == "flat" for level in e.levels]
    assert len({level.semitones for level in static}) == len({level.mouth_curve for level in static}) == len(static)
