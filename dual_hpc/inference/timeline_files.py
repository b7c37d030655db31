"""A timeline as a file: JSON, CSV, subtitles (SRT, WebVTT), or a picture."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dual_hpc.errors import UserError
from dual_hpc.files.atomic import write_atomically
from dual_hpc.inference.timeline import Stretch, Timeline, merged
from dual_hpc.palette import COLOURS
from dual_hpc.picture import png
from dual_hpc.printable import picture_text, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DIGITS = 4
_FAR = 40.0  # inches: the widest picture


def write_timeline(timeline: Timeline, path: Path) -> None:
    """Write it in the form that the file's ending names.

    Raises:
        UserError: another ending.
        OSError: it cannot be written.
    """
    write_atomically(path, writer_of(path)(timeline))


def writer_of(path: Path) -> Callable[[Timeline], bytes]:
    """What makes the content of a file with this ending.

    Raises:
        UserError: there is none for it.
    """
    writers = {".json": _json, ".csv": _csv, ".srt": _srt, ".vtt": _vtt, ".png": _png}
    if (writer := writers.get(path.suffix.lower())) is None:
        raise UserError(f"--timeline: {path}: the ending must be one of {', '.join(writers)}")
    return writer


def _rounded(one: Stretch, timeline: Timeline) -> dict[str, float]:
    values = one.probabilities or ()
    return {label: round(value, _DIGITS) for label, value in zip(timeline.labels, values, strict=False)}


def _json(timeline: Timeline) -> bytes:
    rows: list[dict[str, Any]] = []
    for one in timeline.stretches:
        row: dict[str, Any] = {"start": round(one.start, 3), "end": round(one.end, 3), "label": one.label}
        row |= {"probabilities": _rounded(one, timeline)} if one.probabilities else {}
        rows.append(row | ({"speaker": one.speaker} if one.speaker is not None else {}))
    content = {"input": timeline.source, "labels": list(timeline.labels), "timeline": rows}
    return (json.dumps(content, indent=1) + "\n").encode()


def _csv(timeline: Timeline) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["start", "end", "speaker", "label", *timeline.labels])
    for one in timeline.stretches:
        values = [f"{value:.{_DIGITS}f}" for value in one.probabilities or ()] or [""] * len(timeline.labels)
        writer.writerow([f"{one.start:.3f}", f"{one.end:.3f}", one.speaker or "", one.label or "", *values])
    return out.getvalue().encode("utf-8", "backslashreplace")


def _srt(timeline: Timeline) -> bytes:
    shown = [one for one in merged(timeline.stretches) if one.label is not None]
    blocks = [
        f"{number}\n{_clock(one.start, ',')} --> {_clock(one.end, ',')}\n{_said(one)}\n"
        for number, one in enumerate(shown, 1)
    ]
    return "\n".join(blocks).encode("utf-8", "backslashreplace")


def _vtt(timeline: Timeline) -> bytes:
    shown = [one for one in merged(timeline.stretches) if one.label is not None]
    blocks = [f"{_clock(one.start, '.')} --> {_clock(one.end, '.')}\n{_escaped(_said(one))}\n" for one in shown]
    return "\n".join(["WEBVTT\n", *blocks]).encode("utf-8", "backslashreplace")


def _said(one: Stretch) -> str:
    speaker = f"{one.speaker}: " if one.speaker is not None else ""
    # A blank line or an arrow in a name would end the subtitle.
    return printable(f"{speaker}{one.label} {100 * max(one.probabilities or (0,)):.0f} %").replace("-->", "->")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clock(seconds: float, comma: str) -> str:
    millis = round(seconds * 1000)
    return f"{millis // 3_600_000:02}:{millis // 60_000 % 60:02}:{millis // 1000 % 60:02}{comma}{millis % 1000:03}"


def _png(timeline: Timeline) -> bytes:
    """Thumbnails, loudness, and the probabilities over time, with the label of each stretch below."""
    from matplotlib.figure import Figure

    wide = min(_FAR, 8 + timeline.seconds / 60)
    figure = Figure(figsize=(wide, 5.2), layout="constrained")
    top, sound, main = figure.subplots(3, 1, sharex=True, height_ratios=[1, 0.7, 2.6])
    _thumbnails(top, timeline)
    times = np.arange(len(timeline.peaks)) * timeline.peak_seconds
    sound.fill_between(times, -timeline.peaks, timeline.peaks, color="#888888", linewidth=0)
    sound.set_yticks([])
    sound.set_ylabel("sound", fontsize=8)
    _probabilities(main, timeline)
    main.set_xlim(0, max(timeline.seconds, 1e-3))
    main.set_xlabel("seconds")
    top.set_title(picture_text(Path(timeline.source).name), fontsize=10, loc="left")
    return png(figure)


def _probabilities(axis: Axes, timeline: Timeline) -> None:
    """Stacked to one; white where there is no answer."""
    known = [one for one in timeline.stretches if one.probabilities is not None]
    edges = [one.start for one in known]
    widths = [one.end - one.start for one in known]
    below = np.zeros(len(known))
    for number, label in enumerate(timeline.labels):
        heights = np.array([(one.probabilities or ())[number] for one in known])
        colour = COLOURS[number % len(COLOURS)]
        axis.bar(edges, heights, widths, below, align="edge", color=colour, label=picture_text(label), linewidth=0)
        below = below + heights
    axis.set_ylim(0, 1)
    axis.set_ylabel("probability", fontsize=8)
    if known:
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=min(8, len(timeline.labels)), fontsize=8)


def _thumbnails(axis: Axes, timeline: Timeline) -> None:
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    axis.set_axis_off()
    axis.set_ylim(0, 1)
    for seconds, picture in timeline.pictures:
        image = OffsetImage(picture, zoom=56 / max(picture.shape[:2]))
        axis.add_artist(AnnotationBbox(image, (seconds, 0.45), frameon=False))
