"""A timeline as a file: JSON, CSV, subtitles (SRT, WebVTT), or a picture."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dual_hpc.errors import UserError
from dual_hpc.files.atomic import write_atomically
from dual_hpc.inference.timeline import Stretch, Timeline, merged
from dual_hpc.inference.timeline_picture import timeline_png
from dual_hpc.printable import printable

_DIGITS = 4


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
    writers = {".json": _json, ".csv": _csv, ".srt": _srt, ".vtt": _vtt, ".png": timeline_png}
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
