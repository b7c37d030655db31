"""Which runs `dual-hpc runs` shows, and in which order. Pure."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Callable, Sequence

from dual_hpc.errors import UserError
from launch.cluster.state import State
from launch.runs.summary import RunSummary

# By what `--sort` orders; scores begin with the best, `last` with the run that wrote last.
ORDERS: dict[str, Callable[[RunSummary], tuple[bool, float | str]]] = {
    "name": lambda row: (False, row.name),
    "state": lambda row: (False, row.state.value),
    "last": lambda row: (row.age_seconds is None, row.age_seconds or 0.0),
    "loss": lambda row: (row.loss is None, row.loss or 0.0),
    "val": lambda row: (_validated(row) is None, -(_validated(row) or 0.0)),
    "test": lambda row: (row.test_ua is None, -(row.test_ua or 0.0)),
}


def _validated(row: RunSummary) -> float | None:
    """The larger, the better."""
    if row.best is None:
        return row.ua_av
    return row.best if row.higher_is_better else -row.best


def parse_states(text: str | None) -> frozenset[State]:
    """ "failed,running" as states; empty: all.

    Raises:
        UserError: no state is called so.
    """
    words = [word.strip() for word in (text or "").split(",") if word.strip()]
    names = [state.value for state in State]
    for word in words:
        if word not in names:
            near = difflib.get_close_matches(word, names, n=1)
            known = f"did you mean {near[0]}?" if near else f"states are {', '.join(names)}"
            raise UserError(f"--state: {word!r} is not a state; {known}")
    return frozenset(State(word) for word in words)


def select_runs(
    rows: Sequence[RunSummary], pattern: str | None, states: frozenset[State], order: str | None, limit: int | None
) -> list[RunSummary]:
    """The runs to show.

    Args:
        rows: oldest first.
        pattern: of the name, with * and ?.
        states: empty: all.
        order: a key of ORDERS; None leaves the oldest first.
        limit: the first so many of an order; without one, the newest.
    """
    left = [row for row in rows if not states or row.state in states]
    left = [row for row in left if pattern is None or fnmatch.fnmatchcase(row.name, pattern)]
    if order is None:
        return left if limit is None else left[max(0, len(left) - limit) :]
    return sorted(left, key=ORDERS[order])[:limit]
