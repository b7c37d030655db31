"""The MELD reader, one quirk of the release per test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dual_hpc.errors import UserError
from shards.corpora import meld as reader


def append(root: Path, split: str, line: str) -> None:
    path = root / f"{split}_sent_emo.csv"
    path.write_bytes(path.read_bytes() + line.encode() + b"\r\n")


def test_the_annotation_is_followed_not_the_folder(meld: Path) -> None:
    plan = reader.read(meld)
    assert sorted(p.key for p in plan.utterances) == [
        "test_dia0_utt0",
        "train_dia0_utt0",
        "train_dia0_utt1",
        "train_dia125_utt3",
    ]
    assert "1 clips of dev have no annotation and are ignored" in plan.notes
    assert "1 clips of test have no annotation and are ignored" in plan.notes


def test_absent_clips_are_reported_with_file_and_line(meld: Path) -> None:
    (skip,) = reader.read(meld).skips
    assert skip.where == "dev_sent_emo.csv:2" and skip.reason == "dia110_utt7: the clip is absent"


def test_text_encoded_twice_is_put_right(meld: Path) -> None:
    planned = next(p for p in reader.read(meld).utterances if p.key == "train_dia0_utt0")
    assert planned.text == "Oh, it\u2019s you"


def test_fields_come_from_the_row(meld: Path) -> None:
    planned = next(p for p in reader.read(meld).utterances if p.key == "test_dia0_utt0")
    assert planned.fields["label"] == "surprise" and planned.fields["raw_label"] == "Surprise"
    assert (planned.fields["split"], planned.fields["season"], planned.fields["episode"]) == ("test", 4, 1)
    assert planned.fields["speaker"] == "Ross" and planned.actor is None


def test_equal_ids_in_two_splits_are_two_utterances(meld: Path) -> None:
    keys = {p.key for p in reader.read(meld).utterances}
    assert {"train_dia0_utt0", "test_dia0_utt0"} <= keys


@pytest.mark.parametrize("nested", [True, False])
def test_the_short_layout_is_read(meld: Path, tmp_path: Path, nested: bool) -> None:
    short = tmp_path / "short"
    for split, official in (
        ("train", "train/train_splits"),
        ("dev", "dev_splits_complete"),
        ("test", "output_repeated_splits_test"),
    ):
        shutil.move(meld / official, short / split)
        shutil.move(meld / f"{split}_sent_emo.csv", (short / split if nested else short))
    assert len(reader.read(short).utterances) == 4


def test_clips_without_annotation_are_refused_with_what_to_add(meld: Path) -> None:
    (meld / "dev_sent_emo.csv").unlink()
    with pytest.raises(UserError, match=r"clips without labels\. Add MELD's dev_sent_emo\.csv"):
        reader.read(meld)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no train_sent_emo\.csv"):
        reader.read(tmp_path)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("9,Hi,Joey,joy,positive,1,1", "has 7 columns, the header has 11"),
        ("9,Hi,Joey,happy,positive,0,5,8,21,a,b", "'happy' is not an emotion of MELD"),
        ("9,Hi,Joey,joy,positive,../../x,5,8,21,a,b", "are not numbers"),
        ("9,Hi,Joey,joy,positive,٣,5,8,21,a,b", "are not numbers"),
        ("9,Hi,Joey,joy,positive,0,0,8,21,a,b", "occurs twice in train"),
        ("9,Hi,Joey,joy,positive,99999999999999999999,5,8,21,a,b", "are not numbers"),
    ],
)
def test_wrong_rows_are_left_out_with_line_and_reason(meld: Path, line: str, reason: str) -> None:
    append(meld, "train", line)
    plan = reader.read(meld)
    found = [skip for skip in plan.skips if skip.where == "train_sent_emo.csv:5"]
    assert len(found) == 1 and reason in found[0].reason
    assert len(plan.utterances) == 4


def test_a_table_of_something_else_is_refused(meld: Path) -> None:
    (meld / "dev_sent_emo.csv").write_text("name,age\nx,1\n")
    with pytest.raises(UserError, match="the column Utterance is missing"):
        reader.read(meld)


def test_a_quote_that_never_closes_is_one_line(meld: Path) -> None:
    append(meld, "train", '9,"' + "x" * 200_000)
    with pytest.raises(UserError, match="line 5 cannot be read as CSV"):
        reader.read(meld)
