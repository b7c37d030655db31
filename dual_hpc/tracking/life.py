"""The life of a run as one figure: what each of its jobs did when, its saves and its failures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dual_hpc.palette import COLOURS
from dual_hpc.printable import picture_text
from dual_hpc.run.goodput import NAMES, goodput
from dual_hpc.run.journal import Entry
from dual_hpc.run.timeline import KINDS, Kind, Slice

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS: dict[Kind, str] = {
    "useful": COLOURS[2],
    "repeated": COLOURS[4],
    "startup": COLOURS[5],
    "saves": COLOURS[0],
    "validation": COLOURS[3],
    "lost": COLOURS[1],
    "queue": "#DDDDDD",
}
_UNITS = ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))
_MOST_JOBS = 40  # rows; of more, the last ones


def run_life(slices: Sequence[Slice], entries: Sequence[Entry], title: str) -> Figure:
    """One row per job over the time since the first was submitted; a run without jobs gives an empty, labelled figure.

    Args:
        entries: of the journal, for the saves.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    jobs = list(dict.fromkeys(one.job_id for one in slices))[-_MOST_JOBS:]
    shown = [one for one in slices if one.job_id in jobs]
    figure = Figure(figsize=(9, 1.6 + 0.3 * max(1, len(jobs))), layout="constrained")
    figure.suptitle(picture_text(title), fontsize=11)
    axis = figure.subplots()
    axis.spines[["top", "right"]].set_visible(False)
    if not shown:
        axis.text(0.5, 0.5, "no job has begun yet", ha="center", va="center", transform=axis.transAxes)
        return figure
    origin = shown[0].begin
    length = max(one.end for one in shown) - origin
    unit, name = next((pair for pair in _UNITS if length >= 2 * pair[0]), _UNITS[-1])
    rows = {job: row for row, job in enumerate(jobs)}
    for one in shown:
        left, width = (one.begin - origin) / unit, one.seconds / unit
        axis.barh(rows[one.job_id], width, left=left, height=0.7, color=_COLOURS[one.kind], linewidth=0)
        if one.kind == "lost":
            axis.plot(left + width, rows[one.job_id], "x", color="black", markersize=7, clip_on=False)
    for entry in entries:
        moment = entry.time_ms / 1000
        at = next((one for one in shown if one.begin <= moment <= one.end and one.kind != "queue"), None)
        if entry.event == "checkpoint" and at is not None:
            axis.plot((moment - origin) / unit, rows[at.job_id] - 0.42, "v", color="black", markersize=3.5)
    axis.set_yticks(range(len(jobs)), [picture_text(f"job {job}") for job in jobs], fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel(f"{name} since the first job was submitted; v: a save, x: a failure")
    shares = goodput(slices).shares()
    handles = [Patch(color=_COLOURS[kind], label=f"{NAMES[kind]} {shares[kind]:.1f} %") for kind in KINDS]
    axis.legend(handles=handles, fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure
