"""What came out of a sweep: one row per member, then mean and deviation over the finished ones."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from dual_hpc.tracking.journal import read
from dual_hpc.tracking.run_dir import RunDir
from launch.overview import Overview, overview
from launch.scheduler import Scheduler
from launch.standing import standings
from launch.sweep import SweepDir

SCORES = ("validation", "test UA {A,V}", "test UA {A,V,T}")


@dataclass(frozen=True)
class Row:
    """One member: what sets it apart, where it stands, and its scores (shares of one; absent ones left out)."""

    name: str
    overrides: list[str]
    state: str
    step: int
    total: int | None
    scores: dict[str, float]


def row(run: RunDir, overrides: list[str], seen: Overview) -> Row:
    """The scores of a member: the best on validation, and the test's if `dual-hpc evaluate` has written them."""
    scores: dict[str, float] = {}
    best = [entry.fields["score"] for entry in read(run.journal) if entry.event == "best"]
    if best:
        scores["validation"] = float(best[-1])
    report = run.reports / "test_best.json"
    if report.exists():
        subsets = json.loads(report.read_text(encoding="utf-8"))["subsets"]
        for subset, name in (("av", "test UA {A,V}"), ("avt", "test UA {A,V,T}")):
            if subset in subsets:
                scores[name] = float(subsets[subset]["ua"])
    return Row(run.path.name, overrides, seen.state, seen.step, seen.total, scores)


def summary(rows: Sequence[Row]) -> dict[str, tuple[float, float, int]]:
    """Score -> mean, standard deviation (of the sample; 0 for one) and number over the finished members."""
    found = {}
    for name in SCORES:
        values = [row.scores[name] for row in rows if row.state == "finished" and name in row.scores]
        if values:
            deviation = statistics.stdev(values) if len(values) > 1 else 0.0
            found[name] = (statistics.fmean(values), deviation, len(values))
    return found


def rows_of(sweep: SweepDir) -> list[Row]:
    """One row per member; Slurm is asked once."""
    runs, now = sweep.runs(), time.time()
    seen = standings(runs, Scheduler(), now, tolerant=True)
    return [
        row(run, member.overrides, overview(run, standing, now))
        for run, member, standing in zip(runs, sweep.sweep.members, seen, strict=True)
    ]


def table(rows: Sequence[Row]) -> Table:
    """Scores in percent; the last line is mean and deviation."""
    made = Table("run", "settings", "state", "step", *SCORES, box=None)
    for one in rows:
        scores = (f"{100 * one.scores[name]:.1f}" if name in one.scores else "" for name in SCORES)
        made.add_row(one.name, " ".join(one.overrides), one.state, f"{one.step}/{one.total or '?'}", *scores)
    found = summary(rows)
    if found:
        cells = (f"{100 * found[n][0]:.1f} ± {100 * found[n][1]:.1f}" if n in found else "" for n in SCORES)
        made.add_row("mean ± deviation", "", f"{max(count for *_, count in found.values())} runs", "", *cells)
    return made
