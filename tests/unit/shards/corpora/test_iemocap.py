"""The IEMOCAP reader, one quirk of the release per test."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dual_hpc.errors import UserError
from shards.corpora import iemocap as reader
from shards.plan import Planned


def by_key(root: Path) -> dict[str, Planned]:
    return {planned.key: planned for planned in reader.read(root).utterances}


def test_every_label_block_becomes_one_utterance(iemocap: Path) -> None:
    assert sorted(by_key(iemocap)) == [
        "Ses01F_impro01_F000",
        "Ses01F_impro01_F001",
        "Ses01F_impro01_M000",
        "Ses01M_script01_1b_F012",
    ]


def test_the_parent_folder_may_be_given(iemocap: Path) -> None:
    assert by_key(iemocap.parent).keys() == by_key(iemocap).keys()


def test_labels_ratings_and_identity_come_from_the_annotation(iemocap: Path) -> None:
    fields = by_key(iemocap)["Ses01F_impro01_M000"].fields
    assert fields["label"] == "ang" and fields["session"] == 1 and fields["dialogue"] == "Ses01F_impro01"
    assert (fields["valence"], fields["arousal"], fields["dominance"]) == (1.5, 4.0, 4.5)
    assert fields["speaker"] == "Ses01M" and fields["utterance"] == 0 and fields["scripted"] is False
    assert by_key(iemocap)["Ses01M_script01_1b_F012"].fields["scripted"] is True


def test_utterances_without_majority_label_are_packed_as_xxx(iemocap: Path) -> None:
    assert by_key(iemocap)["Ses01F_impro01_F001"].fields["label"] == "xxx"


def test_the_speaker_is_the_fourth_group_and_the_marked_actor_the_second(iemocap: Path) -> None:
    found = by_key(iemocap)
    assert found["Ses01F_impro01_F000"].actor == "named"
    assert found["Ses01F_impro01_M000"].actor == "other"
    assert found["Ses01M_script01_1b_F012"].actor == "other"


def test_text_may_hold_colons_and_any_encoding(iemocap: Path) -> None:
    found = by_key(iemocap)
    assert found["Ses01F_impro01_F000"].text == "Do you have: forms?"
    assert found["Ses01M_script01_1b_F012"].text == "Café?"


def test_xx_turns_and_malformed_lines_are_counted(iemocap: Path) -> None:
    notes = " ".join(reader.read(iemocap).notes)
    assert "1 transcribed turns with an XX id" in notes and "1 lines of the transcriptions" in notes


def test_apple_double_files_and_rater_folders_are_never_read(iemocap: Path) -> None:
    plan = reader.read(iemocap)
    for planned in plan.utterances:
        assert planned.audio is not None and not planned.audio.path.name.startswith("._")
        assert planned.video is not None and not planned.video.path.name.startswith("._")
    assert not any("Categorical" in skip.where for skip in plan.skips)


def test_malformed_label_lines_are_reported_with_file_and_line(iemocap: Path) -> None:
    (skip,) = reader.read(iemocap).skips
    assert skip.where == "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt:12"


def test_video_is_the_dialogues_stretch_and_audio_the_sentence(iemocap: Path) -> None:
    planned = by_key(iemocap)["Ses01F_impro01_M000"]
    assert planned.video is not None and (planned.video.start, planned.video.end) == (1.0, 2.0)
    assert planned.audio is not None and planned.audio.start is None


def test_without_sentence_audio_the_dialogues_stretch_is_used(iemocap: Path, put: Callable[[str, Path], Path]) -> None:
    shutil.rmtree(iemocap / "Session1" / "sentences")
    put("tone.wav", iemocap / "Session1" / "dialog" / "wav" / "Ses01F_impro01.wav")
    planned = by_key(iemocap)["Ses01F_impro01_M000"]
    assert planned.audio is not None and (planned.audio.start, planned.audio.end) == (1.0, 2.0)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("[1.0 - 2.0]\t../../etc/passwd\tneu\t[1.0, 1.0, 1.0]", "is not an utterance of dialogue"),
        ("[1.0 - 2.0]\tSes02F_impro01_F000\tneu\t[1.0, 1.0, 1.0]", "is not an utterance of dialogue"),
        ("[1.0 - 2.0]\tSes01F_impro01_F003\tbored\t[1.0, 1.0, 1.0]", "is not a label of IEMOCAP"),
        ("[2.0 - 1.0]\tSes01F_impro01_F003\tneu\t[1.0, 1.0, 1.0]", "begins at 2.0 s"),
        ("[0.5 - 1.5]\tSes01F_impro01_F000\tneu\t[1.0, 1.0, 1.0]", "occurs twice"),
        ("[1.0 - 2.0] Ses01F_impro01_F003 neu", "is not a label line"),
        ("[\x00\xff", "is not a label line"),
    ],
)
def test_wrong_label_lines_are_left_out_with_their_reason(iemocap: Path, line: str, reason: str) -> None:
    path = iemocap / "Session1" / "dialog" / "EmoEvaluation" / "Ses01F_impro01.txt"
    path.write_bytes(path.read_bytes() + line.encode("latin-1") + b"\n")
    plan = reader.read(iemocap)
    assert reason in plan.skips[-1].reason and plan.skips[-1].where.endswith(".txt:13")
    assert len(plan.utterances) == 4


def test_the_short_layout_is_refused_until_labels_are_added(iemocap: Path, tmp_path: Path) -> None:
    short = tmp_path / "short"
    shutil.move(iemocap / "Session1" / "sentences" / "wav", short / "Audio")
    shutil.move(iemocap / "Session1" / "dialog" / "avi" / "DivX", short / "Video")
    shutil.move(iemocap / "Session1" / "dialog" / "transcriptions", short / "Transcriptions")
    with pytest.raises(UserError, match=r"has no labels\. Add the release's Session\*/dialog/EmoEvaluation"):
        reader.read(short)
    shutil.move(iemocap / "Session1" / "dialog" / "EmoEvaluation", short / "EmoEvaluation")
    found = by_key(short)
    assert len(found) == 4
    assert (
        found["Ses01F_impro01_F000"].text and found["Ses01F_impro01_F000"].video and found["Ses01F_impro01_F000"].audio
    )


def test_a_missing_folder_is_the_users_to_fix(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        reader.read(tmp_path / "absent")


@pytest.mark.parametrize("content", [b"", b"% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\r\r[1.0 - 2.0]\r"])
def test_a_label_file_that_says_nothing_is_reported(iemocap: Path, content: bytes) -> None:
    path = iemocap / "Session1" / "dialog" / "EmoEvaluation" / "Ses01M_script01_1b.txt"
    path.write_bytes(content)
    skips = {skip.where: skip.reason for skip in reader.read(iemocap).skips}
    assert skips["Session1/dialog/EmoEvaluation/Ses01M_script01_1b.txt"] == "holds no label line"
