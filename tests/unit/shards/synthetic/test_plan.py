from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shards.synthetic.plan import generator, share_out

WEIGHTS = st.dictionaries(st.text(max_size=3), st.floats(0.01, 1000), min_size=1, max_size=8)


@given(st.integers(0, 5000), WEIGHTS)
def test_share_out_adds_up_and_is_off_by_less_than_one(total: int, weights: dict[str, float]) -> None:
    counts = share_out(total, weights)
    assert sum(counts.values()) == total
    for name, weight in weights.items():
        assert abs(counts[name] - total * weight / sum(weights.values())) <= 1 + 1e-6


@given(
    st.dictionaries(st.text(max_size=3), st.integers(0, 900), min_size=1, max_size=8).filter(lambda d: sum(d.values()))
)
def test_share_out_keeps_counts_that_already_fit(counts: dict[str, int]) -> None:
    assert share_out(sum(counts.values()), counts) == counts


def test_a_name_has_its_own_randomness() -> None:
    assert generator(0, "a", 1).random() == generator(0, "a", 1).random()
    assert len({generator(s, n).random() for s in (0, 1) for n in ("a", "b")}) == 4
