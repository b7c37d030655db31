"""The results of a sweep: one row per member, and for each experiment mean and deviation over its repetitions.

Members that differ in nothing but the fold and the seed repeat one experiment. Only finished members count.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dual_hpc.evaluation.metrics import METRICS, Metric
from dual_hpc.evaluation.tables import subset_name
from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import read
from launch.cluster.slurm import LOOK_PATIENCE, Scheduler
from launch.cluster.state import State
from launch.runs.report_scores import read_test_scores
from launch.sweeps.grid import SweepDir, experiment
from launch.sweeps.status import member_summaries

VALIDATION = "validation"
SUBSETS = {subset: subset_name(subset) for subset in ("av", "avt")}
UNSCORED = "not evaluated"


@dataclass(frozen=True)
class Row:
    """One member: what sets it apart, its state and progress, and its scores (shares of one; absent ones left out)."""

    name: str
    overrides: list[str]
    state: State
    step: int
    total: int | None
    scores: dict[str, float]


@dataclass(frozen=True)
class Statistic:
    """A score over repetitions; the deviation is the sample's (n - 1), None for a single one."""

    mean: float
    std: float | None
    n: int


@dataclass(frozen=True)
class Experiment:
    """The members that share these settings."""

    settings: tuple[str, ...]
    members: int
    scores: dict[str, Statistic]


def rows_of(sweep: SweepDir) -> list[Row]:
    """One row per member; Slurm is asked once for all of them."""
    summaries = member_summaries(sweep, Scheduler(patience=LOOK_PATIENCE))
    return [
        Row(member.name, member.overrides, one.state, one.step, one.total, scores_of(run))
        for run, member, one in zip(sweep.runs(), sweep.sweep.members, summaries, strict=True)
    ]


def scores_of(run: RunDir) -> dict[str, float]:
    """The best score on validation, and the test's where `dual-hpc evaluate` has written them."""
    try:
        entries = read(run.journal)
    except OSError:  # its row says that it cannot be read
        entries = []
    best = [score for e in entries if e.event == "best" and isinstance(score := e.fields.get("score"), int | float)]
    scores = {VALIDATION: float(best[-1])} if best else {}
    return scores | scores_on_test(run.reports)


def scores_on_test(reports: Path) -> dict[str, float]:
    """The test's scores under the names of the table, where `dual-hpc evaluate` has written them."""
    # An earlier report lacks metrics that were registered since; one of a plugin has others.
    subsets = read_test_scores(reports)
    return {
        _test_score(metric, name): value
        for subset, name in SUBSETS.items()
        for metric, value in subsets.get(subset, {}).items()
    }


def _test_score(metric: str, subset: str) -> str:
    heading = METRICS.get(metric).heading if metric in METRICS else metric
    return f"test {heading} {subset}"


def score_names(rows: Sequence[Row]) -> list[str]:
    """The scores that a row has: validation, the test's in the order of the metrics, then those of unknown metrics."""
    known = [VALIDATION, *_metrics()]
    found = dict.fromkeys(name for row in rows for name in row.scores)
    return [*(name for name in known if name in found), *(name for name in found if name not in known)]


def metric_of(score: str) -> Metric | None:
    """The metric of a test score; None for the validation's, and for metrics of plugins that are not loaded."""
    return _metrics().get(score)


def _metrics() -> dict[str, Metric]:
    return {_test_score(metric, name): METRICS.get(metric) for name in SUBSETS.values() for metric in METRICS}


def summary(rows: Sequence[Row]) -> dict[str, Statistic]:
    """Each score over the finished rows that have it."""
    found = {}
    for name in score_names(rows):
        values = [row.scores[name] for row in rows if row.state is State.FINISHED and name in row.scores]
        if values:
            deviation = statistics.stdev(values) if len(values) > 1 else None
            found[name] = Statistic(statistics.fmean(values), deviation, len(values))
    return found


def experiments(rows: Sequence[Row]) -> list[Experiment]:
    """The rows by their settings without fold and seed, in the order of their first members."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(experiment(row.overrides), []).append(row)
    return [Experiment(settings, len(some), summary(some)) for settings, some in groups.items()]


def incomplete(rows: Sequence[Row]) -> dict[str, str]:
    """Members that are missing from the means, and why: their state, or that nobody has evaluated them."""
    return {
        row.name: row.state.value if row.state is not State.FINISHED else UNSCORED
        for row in rows
        if row.state is not State.FINISHED or not any(name.startswith("test") for name in row.scores)
    }
