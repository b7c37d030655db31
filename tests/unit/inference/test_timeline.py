"""Overlapping answers become one line of time; files of it are what players and tables read."""

from __future__ import annotations

import csv
import io
import json
import re
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.errors import UserError
from dual_hpc.inference.timeline import Answered, Timeline, merged, stretches
from dual_hpc.inference.timeline_files import write_timeline, writer_of
from dual_hpc.inference.timeline_picture import _thumbnails, clock, timeline_png

LABELS = ["calm", "cross"]
ANSWERS = [
    Answered(0.0, 6.0, (1.0, 0.0)),
    Answered(3.0, 9.0, (0.0, 1.0)),
    Answered(6.0, 12.0, (0.2, 0.8)),
    Answered(12.0, 15.0, None),
    Answered(15.0, 18.0, (0.9, 0.1), "Zoë <b>-->"),
]


def test_a_stretch_has_the_mean_of_the_windows_that_cover_it() -> None:
    found = stretches(ANSWERS, LABELS)
    assert [(one.start, one.end) for one in found] == [(0, 3), (3, 6), (6, 9), (9, 12), (12, 15), (15, 18)]
    rows = [one.probabilities for one in found]
    assert rows[4] is None and found[4].label is None
    assert np.allclose([row for row in rows if row], [(1, 0), (0.5, 0.5), (0.1, 0.9), (0.2, 0.8), (0.9, 0.1)])


@given(
    st.lists(st.tuples(st.floats(0, 50), st.floats(0.2, 8), st.floats(0, 1)), min_size=1, max_size=30), st.floats(0, 9)
)
def test_stretches_never_overlap_and_stay_distributions(
    windows: list[tuple[float, float, float]], smooth: float
) -> None:
    answers = [Answered(round(a, 3), round(a + n, 3), (p, 1 - p)) for a, n, p in sorted(windows)]
    found = stretches(answers, LABELS, smooth)
    assert all(one.end <= other.start + 1e-9 for one, other in pairwise(found))
    assert all(sum(one.probabilities or ()) == pytest.approx(1) for one in found)
    covered = sum(one.end - one.start for one in found)
    assert covered == pytest.approx(sum(one.end - one.start for one in merged(found)), abs=1e-6)


def test_smoothing_takes_neighbours_in_and_leaves_gaps() -> None:
    jumpy = [Answered(k, k + 1.0, (1.0, 0.0) if k != 3 else (0.4, 0.6)) for k in range(7)]
    assert [one.label for one in stretches(jumpy, LABELS)].count("cross") == 1
    assert {one.label for one in stretches(jumpy, LABELS, smooth=5.0)} == {"calm"}
    assert stretches(ANSWERS, LABELS, smooth=9.0)[4].label is None


@pytest.fixture
def timeline() -> Timeline:
    rng = np.random.default_rng(0)
    thumbnail = rng.integers(0, 255, (32, 32, 3), np.uint8)
    peaks = rng.random(180).astype(np.float32)
    return Timeline("talks/a.mp4", LABELS, stretches(ANSWERS, LABELS), peaks, 0.1, [(3.0, thumbnail), (9.0, thumbnail)])


def test_json_and_csv_say_the_same(timeline: Timeline, tmp_path: Path) -> None:
    for name in ("a.json", "a.csv"):
        write_timeline(timeline, tmp_path / name)
    content = json.loads((tmp_path / "a.json").read_text())["timeline"]
    rows = list(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text())))
    assert len(rows) == len(content) == 6
    assert [float(row["calm"]) for row in rows if row["calm"]] == [1.0, 0.5, 0.1, 0.2, 0.9]
    assert [one["label"] or "" for one in content] == [row["label"] for row in rows]
    assert content[5]["speaker"] == rows[5]["speaker"]


@pytest.mark.parametrize("ending", ["srt", "vtt"])
def test_a_player_reads_the_subtitles(timeline: Timeline, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    write_timeline(timeline, path)
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(container.streams.subtitles[0]) if p.size]
        times = [(float((p.pts or 0) * p.time_base), float((p.duration or 0) * p.time_base)) for p in packets]
    assert times == [(0.0, 6.0), (6.0, 6.0), (15.0, 3.0)]
    assert "-->" not in re.sub(r"(?m)^[\d:,.]+ --> [\d:,.]+$", "", path.read_text())


def test_the_picture_is_one(timeline: Timeline, tmp_path: Path) -> None:
    for one in (timeline, Timeline("x", LABELS, [])):
        write_timeline(one, tmp_path / "a.png")
        assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("seconds", "rows"), [(20.0, 1), (300.0, 1), (1_800.0, 6), (40_000.0, 12)])
def test_a_long_recording_is_drawn_in_rows_that_can_be_read(seconds: float, rows: int) -> None:
    from PIL import Image

    edges = np.arange(0, seconds, seconds / 50).tolist()
    answers = [Answered(start, start + seconds / 50, (0.7, 0.3)) for start in edges]
    drawn = timeline_png(Timeline("a.wav", LABELS, stretches(answers, LABELS)))
    with Image.open(io.BytesIO(drawn)) as picture:
        assert picture.width == 1560 and picture.height == pytest.approx(130 * (0.5 + 1.55 * rows), abs=2)


def test_thumbnails_lie_side_by_side() -> None:
    from matplotlib.figure import Figure

    grey, wide = np.full((30, 40, 3), 128, np.uint8), 50 * 0.62 / 12
    axis = Figure(figsize=(12, 1)).subplots()
    many = Timeline("a.mp4", LABELS, [], pictures=[(0.5 * number, grey) for number in range(100)])
    _thumbnails(axis, many, 0.0, 50.0)
    places = sorted(float(box.xy[0]) for box in axis.artists)  # type: ignore[attr-defined]
    assert 8 <= len(places) <= 50 / wide and all(b - a >= wide for a, b in pairwise(places))


@pytest.mark.parametrize(("seconds", "said"), [(0, "00:00"), (59.6, "01:00"), (3599, "59:59"), (3661, "1:01:01")])
def test_the_clock_has_hours_where_there_are_any(seconds: float, said: str) -> None:
    assert clock(seconds) == said


def test_another_ending_is_refused() -> None:
    with pytest.raises(UserError, match="the ending must be one of"):
        writer_of(Path("a.doc"))
