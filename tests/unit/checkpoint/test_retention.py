"""Retention keeps the newest and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.checkpoint.retention import surplus


@given(st.sets(st.integers(0, 10**6)), st.integers(1, 5))
def test_the_newest_stay_and_all_older_go(steps: set[int], keep: int) -> None:
    gone = surplus(list(steps), keep)
    kept = steps - set(gone)
    assert len(kept) == min(keep, len(steps))
    assert not gone or max(gone) < min(kept)


def test_keeping_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"checkpoint\.keep_last"):
        surplus([1], 0)
