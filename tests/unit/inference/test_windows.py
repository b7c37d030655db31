"""Recordings are cut into windows that cover them, by turns where these are known."""

from __future__ import annotations

from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.errors import UserError
from dual_hpc.inference.requests import Clip
from dual_hpc.inference.voice_activity import EnergyActivity
from dual_hpc.inference.windows import Turn, Windowing, cut, read_turns, windows


@given(st.floats(0, 1e4), st.floats(0.1, 500), st.floats(0.1, 20), st.floats(0.1, 1))
def test_windows_cover_a_stretch_in_steps_and_end_with_it(
    begin: float, length: float, seconds: float, share: float
) -> None:
    hop = max(0.1, share * seconds)
    found = list(windows(begin, begin + length, Windowing(seconds, hop)))
    assert found[0][0] == begin and begin + length - found[-1][1] < 0.1 + 1e-6
    assert all(b - a == pytest.approx(hop) and a <= begin + length for (a, _), (b, _) in pairwise(found))
    assert all(0 < end - start <= seconds + 1e-6 for start, end in found)
    assert all(following[0] <= before[1] + 1e-6 for before, following in pairwise(found))  # no gap


def test_a_stretch_of_unknown_length_has_windows_for_ever() -> None:
    assert list(islice(windows(1.0, None, Windowing(2.0, 1.0)), 3)) == [(1.0, 3.0), (2.0, 4.0), (3.0, 5.0)]


def test_a_clip_of_one_window_keeps_its_text_and_a_longer_one_does_not() -> None:
    how = Windowing(6.0, 3.0)
    assert [one.text for one in cut(Clip(Path("a"), "hi"), 5.0, how)] == ["hi"]
    assert [one.text for one in cut(Clip(Path("a"), "hi"), 9.0, how)] == [None, None]
    (one,) = cut(Clip(Path("a"), "hi", 2.0, 4.0), 9.0, how)
    assert (one.start, one.end, one.text) == (2.0, 4.0, "hi")


def test_a_clip_of_one_window_is_read_as_without_windows() -> None:
    """Given the end of the header as its own, it would be cut there: an answer that differs in its last digits."""
    clip = Clip(Path("a"), "hi")
    assert list(cut(clip, 5.972, Windowing(6.0, 3.0))) == [clip]


def test_windows_lie_within_turns_and_carry_the_speaker() -> None:
    turns = [Turn(0.0, 2.0, "A"), Turn(2.5, 12.0, "B"), Turn(40.0, 50.0, "C")]
    found = list(cut(Clip(Path("a"), extra={"id": 7}), 20.0, Windowing(6.0, 3.0), turns))
    assert [(one.start, one.end, one.extra["speaker"]) for one in found] == [
        (0.0, 2.0, "A"),
        (2.5, 8.5, "B"),
        (5.5, 11.5, "B"),
        (8.5, 12.0, "B"),
    ]
    assert all(one.extra["id"] == 7 for one in found)


def test_rttm_and_csv_name_the_same_turns(tmp_path: Path) -> None:
    (tmp_path / "a.rttm").write_text(
        "SPKR-INFO x 1 <NA> <NA> <NA> unknown B <NA>\n"
        "SPEAKER x 1 3.5 1.5 <NA> <NA> B <NA> <NA>\n"
        "SPEAKER x 1 0.0 2.0 <NA> <NA> A <NA> <NA>\n"
    )
    (tmp_path / "a.csv").write_text("speaker,start,end\nB,3.5,5.0\nA,0,2\n")
    expected = [Turn(0.0, 2.0, "A"), Turn(3.5, 5.0, "B")]
    assert read_turns(tmp_path / "a.rttm") == read_turns(tmp_path / "a.csv") == expected
    (tmp_path / "a.csv").write_bytes(
        b"\xef\xbb\xbfSpeaker, Start ,end\rB,3.5,5.0\r\rA,0\0,2\r"
    )  # a mark, line ends of old
    assert read_turns(tmp_path / "a.csv") == expected


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.rttm", "SPEAKER x 1 a b <NA> <NA> A", ":1: start and end must be seconds"),
        ("a.rttm", "SPEAKER x 1 2", ":1: a SPEAKER line of RTTM has 8 fields"),
        ("a.rttm", "SPEAKER x 1 2 -1 <NA> <NA> A", ":1: 2 to 1 s is no turn"),
        ("a.rttm", "SPEAKER x 1 0 inf <NA> <NA> A", "is no turn"),
        ("a.csv", "start,end,speaker\n1,nan,A", "is no turn"),
        ("a.csv", "from,to\n1,2", ":2: start and end must be seconds"),
        ("a.csv", "", "holds no turns"),
        ("a.csv", "start,end,speaker\n0,1," + "x" * 200_000, "line 2 cannot be read as CSV"),
        ("absent.csv", None, "cannot be read"),
    ],
)
def test_turns_that_are_none_are_named_by_their_line(tmp_path: Path, name: str, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=said):
        read_turns(tmp_path / name)


@pytest.mark.parametrize("noise", [0.0, 0.003, 0.02])
def test_energy_tells_speech_from_pauses_and_steady_noise(noise: float) -> None:
    rng, t = np.random.default_rng(0), np.arange(6 * 16_000) / 16_000
    hiss = noise * rng.standard_normal(t.size)
    voice = 0.3 * np.sin(2 * np.pi * 180 * t) * (t % 1 < 0.6)
    activity = EnergyActivity()
    assert activity.share(hiss.astype(np.float32)) < 0.1
    assert activity.share((voice + hiss).astype(np.float32)) == pytest.approx(0.6, abs=0.1)
    assert activity.share(hiss.astype(np.float32)) < 0.1
    assert activity.share(np.zeros(0, np.float32)) == 0.0
