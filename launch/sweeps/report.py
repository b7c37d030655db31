"""The table of a sweep: for the terminal, and as Markdown and JSON next to `sweep.json`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table

from dual_hpc.evaluation.tables import table as markdown_table
from dual_hpc.files.atomic import write_atomically
from dual_hpc.picture import png
from dual_hpc.printable import markdown_cell, printable
from launch.sweeps.figure import scores_figure
from launch.sweeps.grid import SweepDir
from launch.sweeps.results import (
    UNSCORED,
    VALIDATION,
    Experiment,
    Row,
    Statistic,
    experiments,
    incomplete,
    metric_of,
    score_names,
    summary,
)

MARKDOWN, JSON, FIGURE = "table.md", "table.json", "scores.png"


def heading(rows: Sequence[Row]) -> list[str]:
    """The columns; scores that nobody has are left out."""
    return ["run", "settings", "state", "step", *score_names(rows)]


def body(rows: Sequence[Row]) -> Iterable[list[str]]:
    """A line per member; shares in percent."""
    for row in rows:
        scores = (_number(name, row.scores[name]) if name in row.scores else "" for name in score_names(rows))
        yield [row.name, " ".join(row.overrides), row.state, f"{row.step}/{row.total or '?'}", *scores]


def foot(rows: Sequence[Row]) -> Iterable[list[str]]:
    """A line per experiment: mean, deviation and number of what has finished."""
    for one in experiments(rows):
        if one.scores:
            cells = (cell(name, one.scores[name]) if name in one.scores else "" for name in score_names(rows))
            yield ["mean ± deviation (n)", " ".join(one.settings), f"of {one.members}", "", *cells]


def cell(name: str, statistic: Statistic) -> str:
    """A score over repetitions: "61.3 ± 2.0 (5)"; the deviation of a single run is not known."""
    deviation = "" if statistic.std is None else f" ± {_number(name, statistic.std)}"
    return f"{_number(name, statistic.mean)}{deviation} ({statistic.n})"


def _number(name: str, value: float) -> str:
    metric = metric_of(name)
    if metric is None:
        return f"{100 * value:.1f}" if name == VALIDATION else f"{value:.3f}"
    return metric.format(value)


def table(rows: Sequence[Row]) -> Table:
    """For the terminal."""
    made = Table(*heading(rows), box=None)
    for line in (*body(rows), *foot(rows)):
        made.add_row(*map(printable, line))
    return made


def missing_lines(rows: Sequence[Row], name: str) -> list[str]:
    """Which members the means lack, and what to do about it."""
    left = incomplete(rows)
    unfinished = [f"{member} ({state})" for member, state in left.items() if state != UNSCORED]
    unscored = [member for member, state in left.items() if state == UNSCORED]
    lines = []
    if unfinished:
        lines.append(
            f"not in the means: {', '.join(unfinished)}; `dual-hpc sweep --resubmit {name}` submits failed ones"
        )
    if unscored:
        lines.append(f"without test scores: {', '.join(unscored)}; `dual-hpc sweep --evaluate {name}` scores them")
    return lines


def markdown(name: str, rows: Sequence[Row]) -> str:
    """The table as a page."""
    page = [f"# Sweep {name}", "", *markdown_table(heading(rows), [*body(rows), *foot(rows)])]
    page += ["", "Shares in percent; mean and deviation (n - 1) over the finished members; test scores of the weights"]
    page += ["that were best on validation."]
    for line in missing_lines(rows, name):
        page += ["", f"{markdown_cell(line[0].upper() + line[1:])}."]
    return "\n".join(page) + "\n"


def as_json(name: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Every number, as shares of one.

    `experiments` has mean, deviation and number per group of repetitions, `scores` the same over all finished members.
    """
    return {
        "sweep": name,
        "members": [dataclasses.asdict(row) for row in rows],
        "experiments": [_experiment(one) for one in experiments(rows)],
        "scores": _scores(summary(rows)),
        "incomplete": incomplete(rows),
    }


def write(sweep: SweepDir, rows: Sequence[Row]) -> None:
    """Write Markdown, JSON and a figure next to `sweep.json`."""
    name = sweep.sweep.name
    write_atomically(sweep.path / MARKDOWN, markdown(name, rows))
    write_atomically(sweep.path / JSON, json.dumps(as_json(name, rows), ensure_ascii=False, indent=2) + "\n")
    write_atomically(sweep.path / FIGURE, png(scores_figure(name, rows)))


def _experiment(one: Experiment) -> dict[str, Any]:
    return {"settings": list(one.settings), "members": one.members, "scores": _scores(one.scores)}


def _scores(found: dict[str, Statistic]) -> dict[str, Any]:
    return {name: {"mean": s.mean, "std": s.std, "runs": s.n} for name, s in found.items()}
