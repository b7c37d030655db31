"""Which runs are listed, and in which order."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from dual_hpc.errors import UserError
from dual_hpc.modality import ALL_MODALITIES
from launch.cli.runs_selection import ORDERS, parse_states, select_runs
from launch.cluster.state import State
from launch.runs.summary import RunSummary

EMPTY: dict[str, Any] = {field.name: None for field in fields(RunSummary)} | {"step": 0, "segments": 0, "path": "/r"}
EMPTY |= {"higher_is_better": True, "seen": ALL_MODALITIES}


def row(name: str, state: State, **more: Any) -> RunSummary:
    return RunSummary(**(EMPTY | {"name": name, "state": state} | more))


ROWS = [
    row("cv.1", State.FINISHED, test_ua=0.5, age_seconds=500.0, loss=0.5, ua_av=0.7),
    row("cv.2", State.FAILED, age_seconds=9.0, loss=2.0),
    row("trial", State.FINISHED, test_ua=0.6, age_seconds=100.0, ua_av=0.6),
    row("odd", State.RUNNING, age_seconds=None),
]


def names(*arguments: Any) -> list[str]:
    return [found.name for found in select_runs(ROWS, *arguments)]


def test_names_states_and_a_limit_select() -> None:
    every: frozenset[State] = frozenset()
    assert names(None, every, None, None) == ["cv.1", "cv.2", "trial", "odd"]
    assert names(None, every, None, 2) == ["trial", "odd"], "the newest"
    assert names("cv.*", every, None, None) == ["cv.1", "cv.2"]
    assert names(None, parse_states("finished, failed"), None, None) == ["cv.1", "cv.2", "trial"]
    assert names("cv.*", parse_states("finished"), None, 5) == ["cv.1"]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("name", ["cv.1", "cv.2", "odd", "trial"]),
        ("last", ["cv.2", "trial", "cv.1", "odd"]),
        ("loss", ["cv.1", "cv.2", "trial", "odd"]),
        ("val", ["cv.1", "trial", "cv.2", "odd"]),
        ("test", ["trial", "cv.1", "cv.2", "odd"]),
    ],
)
def test_what_has_no_value_comes_last(order: str, expected: list[str]) -> None:
    assert names(None, frozenset(), order, None) == expected
    assert names(None, frozenset(), order, 1) == expected[:1]


def test_of_losses_the_least_comes_first() -> None:
    rows = [row(f"{best}", State.FINISHED, best=best, higher_is_better=False) for best in (0.9, 0.7, 0.8)]
    assert [found.name for found in select_runs(rows, None, frozenset(), "val", None)] == ["0.7", "0.8", "0.9"]


def test_every_order_and_state_is_known_and_a_wrong_state_is_named() -> None:
    for order in ORDERS:
        assert sorted(names(None, frozenset(), order, None)) == sorted(found.name for found in ROWS)
    assert parse_states("out of memory") == {State.OUT_OF_MEMORY} and parse_states("") == frozenset()
    with pytest.raises(UserError, match="--state: 'runing' is not a state; did you mean running"):
        parse_states("runing")
