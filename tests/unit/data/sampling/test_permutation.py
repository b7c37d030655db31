"""Keyed permutations: exact, stable, well mixed."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.data.keys import key_of
from dual_hpc.data.sampling.permutation import permute, shuffled

GOLDEN_PERMUTE = [6, 5, 7, 3, 0, 8, 4, 9, 1, 2]
GOLDEN_FEISTEL = [779097, 910170, 245616, 797275, 609261, 415827, 992797, 600660, 563598, 547962]
GOLDEN_SHUFFLED = [6, 5, 7, 3, 0, 8, 4, 9, 1, 2]
KEYS = st.integers(0, 2**64 - 1)


@given(st.integers(1, 5000), KEYS)
def test_every_value_is_hit_once(n, key):
    assert sorted(permute(np.arange(n), n, key).tolist()) == list(range(n))
    assert sorted(shuffled(n, key).tolist()) == list(range(n))


@given(st.integers(1, 2**62), st.data(), KEYS)
def test_a_position_is_evaluated_alone_as_among_others(n, data, key):
    places = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=5))
    together = permute(np.array(places), n, key)
    assert [int(permute(np.array([p]), n, key)[0]) for p in places] == together.tolist()
    assert ((together >= 0) & (together < n)).all()


def test_the_values_never_change_between_versions():
    # Golden: a run that is resumed after an upgrade must meet the same samples.
    assert permute(np.arange(10), 10, key_of("id", 1, 2)).tolist() == GOLDEN_PERMUTE
    assert permute(np.arange(10), 10**6, key_of("id", 1, 2)).tolist() == GOLDEN_FEISTEL
    assert shuffled(10, key_of("id", 1, 2)).tolist() == GOLDEN_SHUFFLED
    assert key_of("a", 1) != key_of("a1") != key_of("a", "1")


def test_each_place_of_a_tiny_permutation_is_equally_likely():
    draws = 6000
    for function in (lambda key: permute(np.arange(4), 4, key), lambda key: shuffled(4, key)):
        orders, counts = np.unique([function(key_of(k)) for k in range(draws)], axis=0, return_counts=True)
        assert len(orders) == 24  # all of 4!, odd ones too
        chi_squared = ((counts - draws / 24) ** 2 / (draws / 24)).sum()
        assert chi_squared < 64  # 23 degrees of freedom: p < 1e-5


def test_neighbours_are_torn_apart():
    n = 50_000
    values = permute(np.arange(n), n, 7).astype(float)
    for lag in (1, 2, 8, 256):
        assert abs(np.corrcoef(values[:-lag], values[lag:])[0, 1]) < 4.5 / np.sqrt(n)
    assert abs(np.corrcoef(values, np.arange(n))[0, 1]) < 4.5 / np.sqrt(n)
