"""MSP-Podcast: its table names the recordings; a damaged row costs its utterance alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dual_hpc.config.schema import DataConfig
from dual_hpc.data.format.sample import Utterance
from dual_hpc.errors import UserError
from dual_hpc.evaluation.protocols import get_protocol
from shards.corpora import read_corpus
from shards.plan import Plan
from shards.synthetic.named import LFS_POINTER

HEADER = "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set"
PARTS = ("Train", "Train", "Development", "Test1", "Test2", "Test3")


def rows(count: int = 24) -> list[str]:
    """Podcasts of four segments by one speaker; the third test set hides who speaks."""
    found = []
    for n in range(count):
        part, letter = PARTS[n // 4 % len(PARTS)], "ASHN"[n % 4]
        who = ("Unknown", "Unknown") if part == "Test3" else (str(n // 4), ("Female", "Male")[n // 4 % 2])
        found.append(f"MSP-PODCAST_{n // 4:04d}_{n:04d}.wav,{letter},{1 + n % 7}.5,4.0,3.2,{who[0]},{who[1]},{part}")
    return found


def release(folder: Path, table: list[str], encoding: str = "utf-8") -> Path:
    for name in ("Audios", "Labels", "Transcripts"):
        (folder / name).mkdir(exist_ok=True)
    for row in rows():
        (folder / "Audios" / row.split(",")[0]).write_bytes(b"RIFF")
    (folder / "Labels" / "labels_consensus.csv").write_text("\n".join([HEADER, *table]) + "\n", encoding=encoding)
    (folder / "Transcripts" / "MSP-PODCAST_0000_0001.txt").write_text("well, yes\n")
    return folder


def utterances_of(plan: Plan) -> list[Utterance]:
    return [Utterance(key=one.key, duration=1.0, **one.fields) for one in plan.utterances]


def test_the_table_s_labels_dimensions_speakers_and_parts_are_read(tmp_path: Path) -> None:
    plan = read_corpus("msp_podcast", release(tmp_path, rows()))
    found = {one.key: one for one in utterances_of(plan)}
    assert len(found) == 24 and plan.skips == []
    one = found["MSP-PODCAST_0000_0001"]
    assert (one.label, one.raw_label, one.split, one.speaker) == ("sad", "S", "train", "0")
    assert (one.arousal, one.valence, one.dominance) == (2.5, 4.0, 3.2) and one.attributes == {"gender": "female"}
    assert found["MSP-PODCAST_0005_0020"].speaker == "unknown"
    assert plan.utterances[1].text == "well, yes" and all(each.video is None for each in plan.utterances)


@pytest.mark.parametrize("name", ["msp-podcast8", "msp-podcast4"])
def test_its_own_parts_divide_it_and_other_test_sets_are_left_out(tmp_path: Path, name: str) -> None:
    utterances = utterances_of(read_corpus("msp_podcast", release(tmp_path, rows())))
    parts = get_protocol(name, utterances).split(utterances, DataConfig(protocol=name))
    assert {part: {utterances[n].split for n in numbers} for part, numbers in parts.items()} == {
        "train": {"train"},
        "validation": {"development"},
        "test": {"test1"},
    }


DAMAGED: dict[str, Callable[[str], str]] = {
    "a class that there is not": lambda row: row.replace(",A,", ",Q,"),
    "no class": lambda row: row.replace(",A,", ",,"),
    "a word for a class": lambda row: row.replace(",A,", ",Angry,"),
    "too few columns": lambda row: row.rpartition(",")[0],
    "too many columns": lambda row: row + ",more",
    "no name": lambda row: row[row.index(",") :],
    "no ending": lambda row: row.replace(".wav", ""),
    "a name that is absent": lambda row: row.replace("0000_0000", "9999_0000"),
    "a path for a name": lambda row: "../" + row,
    "a name with a space": lambda row: row.replace("MSP-", "MSP "),
    "a name with a NUL": lambda row: "\0\0" + row.replace("0000_0000", "\0x_0"),
    "a name of another alphabet": lambda row: row.replace("MSP", "МСП"),
    "a semicolon for commas": lambda row: row.replace(",", ";"),
    "tabs for commas": lambda row: row.replace(",", "\t"),
    "a name of 200 letters": lambda row: "x" * 200 + row,
}
HARMLESS: dict[str, Callable[[str], str]] = {
    "no rating": lambda row: row.replace(",1.5,4.0,3.2", ",,,"),
    "a rating that is no number": lambda row: row.replace("1.5", "n/a"),
    "a rating that is not finite": lambda row: row.replace("1.5", "inf"),
    "a rating beyond the scale": lambda row: row.replace("1.5", "99"),
    "a small letter": lambda row: row.replace(",A,", ",a,"),
    "spaces": lambda row: row.replace(",", " , "),
    "capitals in a name": lambda row: row.replace(".wav", ".WAV"),
    "twice": lambda row: f"{row}\n{row}",
}


@pytest.mark.parametrize("damage", [*DAMAGED, *HARMLESS])
def test_a_damaged_row_costs_its_utterance_alone_and_is_told_with_its_line(tmp_path: Path, damage: str) -> None:
    first, *others = rows()
    plan = read_corpus("msp_podcast", release(tmp_path, [({**DAMAGED, **HARMLESS})[damage](first), *others]))
    assert len(plan.utterances) == (24 if damage in HARMLESS else 23)
    lines = [skip.where for skip in plan.skips]
    assert lines == (
        [] if damage in HARMLESS and damage != "twice" else [f"Labels/labels_consensus.csv:{2 + (damage == 'twice')}"]
    )
    assert utterances_of(plan)


@pytest.mark.parametrize("missing", ["FileName", "EmoClass", "SpkrID", "Split_Set"])
def test_a_table_of_another_form_is_refused_once(tmp_path: Path, missing: str) -> None:
    folder = release(tmp_path, rows())
    table = folder / "Labels" / "labels_consensus.csv"
    table.write_text(table.read_text().replace(missing, "other", 1))
    with pytest.raises(UserError, match=rf"the column {missing} is missing \(line 1\)"):
        read_corpus("msp_podcast", folder)


def test_a_folder_without_the_table_says_what_to_add(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(LFS_POINTER)
    with pytest.raises(UserError, match=r"Add the release's Labels/labels_consensus\.csv"):
        read_corpus("msp_podcast", tmp_path)
