"""The scores of a sweep as a figure: each member a point, each experiment its mean with the deviation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dual_hpc.palette import COLOURS
from dual_hpc.printable import picture_text
from launch.cluster.state import State
from launch.sweeps.grid import experiment
from launch.sweeps.results import Row, experiments, metric_of, score_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST = 40  # experiments that have room for their names
_PANELS = 3


def panels(rows: Sequence[Row]) -> list[str]:
    """The scores that are drawn: the validation's, and the test's first ones without and with text."""
    names = score_names(rows)
    return [*names[:1], *(name for name in names[1:] if " UA " in name or " ua " in name)][:_PANELS]


def scores_figure(title: str, rows: Sequence[Row]) -> Figure:
    """One panel per score; of a sweep without scores an empty, labelled one."""
    from matplotlib.figure import Figure

    shown, groups = panels(rows), experiments(rows)
    wide = min(14.0, max(5.0, 2.5 + 0.45 * len(groups)))
    figure = Figure(figsize=(wide, 2.6 * max(1, len(shown)) + 1.4), layout="constrained")
    figure.suptitle(picture_text(title), fontsize=11)
    axes = figure.subplots(max(1, len(shown)), 1, sharex=True, squeeze=False)[:, 0]
    if not shown:
        axes[0].text(0.5, 0.5, "no scores yet", ha="center", va="center", transform=axes[0].transAxes)
    place = {one.settings: number for number, one in enumerate(groups)}
    for axis, score in zip(axes, shown, strict=False):
        metric = metric_of(score)
        factor = metric.factor if metric is not None else 100.0
        found = [row for row in rows if row.state is State.FINISHED and score in row.scores]
        axis.plot(
            [place[experiment(row.overrides)] for row in found],
            [factor * row.scores[score] for row in found],
            "o",
            color=COLOURS[5],
            ms=4,
            alpha=0.8,
            label="member",
        )
        means = [(place[one.settings], one.scores[score]) for one in groups if score in one.scores]
        axis.errorbar(
            [number for number, _ in means],
            [factor * statistic.mean for _, statistic in means],
            [factor * (statistic.std or 0.0) for _, statistic in means],
            fmt="_",
            color=COLOURS[0],
            ms=16,
            capsize=4,
            label="mean ± deviation",
        )
        axis.set_ylabel(picture_text(score), fontsize=9)
        axis.grid(alpha=0.25, axis="y")
        axis.spines[["top", "right"]].set_visible(False)
    if shown:
        axes[0].legend(fontsize=8, frameon=False)
    if len(groups) <= _MOST:
        names = [picture_text(" ".join(one.settings)[:40] or "all members") for one in groups]
        axes[-1].set_xticks(range(len(groups)), names, rotation=30, ha="right", fontsize=8)
    axes[-1].set_xlim(-0.6, len(groups) - 0.4)
    return figure
