"""A timeline as a picture: thumbnails, loudness, speakers, and the probabilities over time, in rows as of text."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dual_hpc.inference.timeline import Stretch, Timeline
from dual_hpc.palette import COLOURS
from dual_hpc.picture import png
from dual_hpc.printable import picture_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROW_SECONDS, _MOST_ROWS = 300.0, 12  # a row is longer where there would be more rows
_WIDE, _THUMBNAIL = 12.0, 0.62  # inches
_LEGIBLE = 0.035  # of a row's width: a turn that has room for its speaker's name
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)  # seconds between two marks of the clock
_GREYS = ("#d9d9d9", "#bdbdbd")
_Lane = tuple[float, Callable[["Axes", Timeline, float, float], None]]  # height in inches, and what draws it


def timeline_png(timeline: Timeline) -> bytes:
    """Draw it; what a recording does not have (pictures, sound, speakers) takes no room."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch
    from matplotlib.ticker import MultipleLocator

    seconds = max(timeline.seconds, 1e-3)
    rows = min(_MOST_ROWS, max(1, math.ceil(seconds / _ROW_SECONDS - 0.1)))  # some seconds more are no row more
    span = seconds / rows
    lanes = _lanes(timeline)
    heights = [height for height, _ in lanes]
    figure = Figure(figsize=(_WIDE, rows * (sum(heights) + 0.45) + 0.5), layout="constrained")
    parts = figure.subfigures(rows, 1, squeeze=False).ravel()
    for number, part in enumerate(parts):
        axes = part.subplots(len(lanes), 1, sharex=True, height_ratios=heights, squeeze=False).ravel()
        first = number * span
        for axis, (_, draw) in zip(axes, lanes, strict=True):
            axis.set_xlim(first, first + span)
            axis.set_yticks([])
            draw(axis, timeline, first, first + span)
        step = next((one for one in _STEPS if one >= span / 10), _STEPS[-1])
        axes[-1].xaxis.set_major_locator(MultipleLocator(step))
        axes[-1].xaxis.set_major_formatter(lambda at, _: clock(at))
        axes[-1].tick_params(labelsize=8)
    figure.suptitle(picture_text(Path(timeline.source).name), fontsize=10, x=0.01, ha="left")
    colours = [_colour(number) for number in range(len(timeline.labels))]
    handles = [Patch(color=colour) for colour in colours]
    names = [picture_text(label) for label in timeline.labels]
    figure.legend(handles, names, loc="upper right", ncols=min(8, len(names)), fontsize=8, frameon=False)
    return png(figure)


def clock(seconds: float) -> str:
    """Minutes and seconds, hours where there are any."""
    whole = round(seconds)
    hours = f"{whole // 3600}:" if whole >= 3600 else ""
    return f"{hours}{whole // 60 % 60:02d}:{whole % 60:02d}"


def _lanes(timeline: Timeline) -> list[_Lane]:
    lanes: list[_Lane] = []
    if timeline.pictures:
        lanes.append((_THUMBNAIL, _thumbnails))
    if len(timeline.peaks):
        lanes.append((0.35, _sound))
    if any(one.speaker is not None for one in timeline.stretches):
        lanes.append((0.2, _speakers))
    return [*lanes, (1.1, _probabilities)]


def _within(timeline: Timeline, first: float, last: float) -> Sequence[Stretch]:
    return [one for one in timeline.stretches if one.end > first and one.start < last]


def _probabilities(axis: Axes, timeline: Timeline, first: float, last: float) -> None:
    """Stacked to one; white where there is no answer."""
    known = [one for one in _within(timeline, first, last) if one.probabilities is not None]
    edges, widths = [one.start for one in known], [one.end - one.start for one in known]
    below = np.zeros(len(known))
    for number in range(len(timeline.labels)):
        heights = np.array([(one.probabilities or ())[number] for one in known])
        axis.bar(edges, heights, widths, below, align="edge", color=_colour(number), linewidth=0)
        below = below + heights
    axis.set_ylim(0, 1)
    axis.set_yticks([0, 0.5, 1], ["0", "½", "1"], fontsize=7)


def _sound(axis: Axes, timeline: Timeline, first: float, last: float) -> None:
    step = timeline.peak_seconds
    peaks = timeline.peaks[max(0, int(first / step)) : int(last / step) + 1]
    times = (int(first / step) + np.arange(len(peaks))) * step
    highest = max(float(timeline.peaks.max()), 1e-3)  # quiet recordings are drawn as high as loud ones
    axis.fill_between(times, -peaks / highest, peaks / highest, color="#888888", linewidth=0)
    axis.set_ylim(-1, 1)
    axis.set_axis_off()


def _speakers(axis: Axes, timeline: Timeline, first: float, last: float) -> None:
    turns: list[list[float | str]] = []
    for one in _within(timeline, first, last):
        if one.speaker is None:
            continue
        if turns and turns[-1][2] == one.speaker and one.start - float(turns[-1][1]) < 1e-3:
            turns[-1][1] = one.end
        else:
            turns.append([one.start, one.end, one.speaker])
    for number, (start, end, speaker) in enumerate(turns):
        begin, stop = max(float(start), first), min(float(end), last)
        axis.axvspan(begin, stop, color=_GREYS[number % 2], linewidth=0)
        if stop - begin > _LEGIBLE * (last - first):
            axis.text(
                (begin + stop) / 2, 0.5, picture_text(speaker), ha="center", va="center", fontsize=7, clip_on=True
            )
    axis.set_ylim(0, 1)
    axis.set_axis_off()


def _thumbnails(axis: Axes, timeline: Timeline, first: float, last: float) -> None:
    """As many as lie side by side."""
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    axis.set_axis_off()
    axis.set_ylim(0, 1)
    room, free = (last - first) * 1.12 * _THUMBNAIL / _WIDE, first
    for seconds, picture in timeline.pictures:
        wide = room * picture.shape[1] / max(picture.shape[:2])
        if not first <= seconds < last or seconds - wide / 2 < free:
            continue
        image = OffsetImage(picture, zoom=72 * _THUMBNAIL / max(picture.shape[:2]))
        axis.add_artist(AnnotationBbox(image, (seconds, 0.5), frameon=False, pad=0))
        free = seconds + wide / 2


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]
