"""Keyed permutations: exact, stable, well mixed."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.data.keys import key_of
from dual_hpc.data.sampling.permutation import shuffled

GOLDEN = [6, 5, 7, 3, 0, 8, 4, 9, 1, 2]
KEYS = st.integers(0, 2**64 - 1)


@given(st.integers(1, 5000), KEYS)
def test_every_value_is_hit_once(n: int, key: int) -> None:
    assert sorted(shuffled(n, key).tolist()) == list(range(n))


def test_the_values_never_change_between_versions() -> None:
    # Golden: a run that is resumed after an upgrade must meet the same samples.
    assert shuffled(10, key_of("id", 1, 2)).tolist() == GOLDEN
    assert key_of("a", 1) != key_of("a1") != key_of("a", "1")


def test_each_order_of_a_tiny_permutation_is_equally_likely() -> None:
    draws = 6000
    orders, counts = np.unique([shuffled(4, key_of(k)) for k in range(draws)], axis=0, return_counts=True)
    assert len(orders) == 24  # all of 4!, odd ones too
    chi_squared = ((counts - draws / 24) ** 2 / (draws / 24)).sum()
    assert chi_squared < 64  # 23 degrees of freedom: p < 1e-5


def test_neighbours_are_torn_apart() -> None:
    n = 50_000
    values = shuffled(n, 7).astype(float)
    for lag in (1, 2, 8, 256):
        assert abs(np.corrcoef(values[:-lag], values[lag:])[0, 1]) < 4.5 / np.sqrt(n)
    assert abs(np.corrcoef(values, np.arange(n))[0, 1]) < 4.5 / np.sqrt(n)
