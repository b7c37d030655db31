"""Turns of speakers that others have found, in RTTM and CSV, of one recording or several."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dual_hpc.errors import UserError
from dual_hpc.inference.speaker_turns import Turn, read_turns, turns_of


def test_rttm_and_csv_name_the_same_turns(tmp_path: Path) -> None:
    (tmp_path / "a.rttm").write_text(
        "SPKR-INFO x 1 <NA> <NA> <NA> unknown B <NA>\n"
        "SPEAKER x 1 3.5 1.5 <NA> <NA> B <NA> <NA>\n"
        "SPEAKER x 1 0.0 2.0 <NA> <NA> A <NA> <NA>\n"
    )
    (tmp_path / "a.csv").write_text("speaker,start,end\nB,3.5,5.0\nA,0,2\n")
    expected = [Turn(0.0, 2.0, "A", "x"), Turn(3.5, 5.0, "B", "x")]
    assert read_turns(tmp_path / "a.rttm") == expected
    unnamed = [replace(turn, recording="") for turn in expected]
    assert read_turns(tmp_path / "a.csv") == unnamed
    (tmp_path / "a.csv").write_bytes(
        b"\xef\xbb\xbfSpeaker, Start ,end\rB,3.5,5.0\r\rA,0\0,2\r"
    )  # a mark, line ends of old
    assert read_turns(tmp_path / "a.csv") == unnamed


def test_the_mark_at_the_beginning_of_a_file_is_none_of_its_words(tmp_path: Path) -> None:
    (tmp_path / "a.rttm").write_bytes(b"\xef\xbb\xbfSPEAKER x 1 0 1 <NA> <NA> A <NA> <NA>\r\n")
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfstart,end,speaker,recording\r\n0,1,A,x\r\n")
    assert read_turns(tmp_path / "a.rttm") == read_turns(tmp_path / "a.csv") == [Turn(0.0, 1.0, "A", "x")]


def test_turns_of_several_recordings_go_to_those_of_their_names() -> None:
    one, other, late = Turn(0, 1, "A", "talk"), Turn(0, 2, "B", "panel.v2"), Turn(3, 4, "A", "talk.mp4")
    assert turns_of([one, other, late], Path("x/talk.mp4")) == [one, late]
    assert turns_of([one, other, late], Path("x/panel.v2.wav")) == [other]
    assert turns_of([one], Path("other.mp4")) == [one]  # one recording, whatever it was called
    assert turns_of([], Path("other.mp4")) == []
    with pytest.raises(UserError, match=r"names 3 recordings \(talk, panel.v2, talk.mp4\), and not other"):
        turns_of([one, other, late], Path("x/other.mp4"))


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
