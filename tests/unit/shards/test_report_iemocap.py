"""Every sentence about a packed IEMOCAP with each kind of fault: its numbers are those counted while it was made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from shards.corpora import iemocap as reader
from shards.options import PackOptions
from shards.packing import pack
from shards.report import read_report
from tests.unit.shards.conftest import write_iemocap
from tests.unit.shards.told import hold, report_of, sentences, table

SMALL = PackOptions(video_size=24, shard_samples=4)
WELL = 4  # utterances of `write_iemocap`, whose one line that is no label line is an utterance that is left out


def append(path: Path, *lines: str) -> None:
    path.write_bytes(path.read_bytes() + "".join(f"{line}\n" for line in lines).encode())


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory, put: Callable[[str, Path], Path]) -> Path:
    """The small IEMOCAP with what releases and copies suffer from."""
    root = tmp_path_factory.mktemp("iemocap") / "source"
    write_iemocap(root, put)
    dialog, sentences_ = root / "Session1/dialog", root / "Session1/sentences/wav"
    labels, words = dialog / "EmoEvaluation", dialog / "transcriptions"
    append(
        labels / "Ses01M_script01_1b.txt",
        "[1.0000 - 2.0000]\tSes01M_script01_1b_M000\tneu\t[2.5000, 2.5000, 2.5000]",  # labelled, but truncated
        "[2.0000 - 3.0000]\tSes01M_script01_1b_M001\tbored\t[2.5000, 2.5000, 2.5000]",
        "[6.0000 - 7.0000]\tSes01M_script01_1b_F012\texc\t[4.5000, 4.0000, 3.0000]",  # again
        "[3.0000 - 4.0000]\tSes01M_script01_1b_M00",  # the label line of M002, cut
    )
    append(
        words / "Ses01M_script01_1b.txt",
        "",
        "Ses01M_script01_1b_M000 [001.0000-002.0000]: Well.",
        "Ses01M_script01_1b_M001 [002.0000-003.0000]: Bored.",
        "Ses01M_script01_1b_M002 [003.0000-004.0000]: Cut.",
        "Ses01M_script01_1b_F012 [006.0000-007.0000]: Other words.",
        "Ses01M_script01_1b_MXX1 [006.0000-007.0000]: Hm.",
        "Ses01M_script01_1b_MXX1 [006.0000-007.0000]: Hm.",
    )
    wav = put("tone.wav", sentences_ / "Ses01M_script01_1b" / "Ses01M_script01_1b_M000.wav")
    wav.write_bytes(wav.read_bytes()[:30])
    # A dialogue whose media were not copied: labelled and transcribed, each utterance once.
    append_new(labels / "Ses01F_impro02.txt", *(label("Ses01F_impro02", n) for n in range(3)))
    append_new(words / "Ses01F_impro02.txt", *(f"Ses01F_impro02_F00{n} [000.0-001.0]: Hello." for n in range(3)))
    append_new(labels / "notes.txt", "[nothing]")
    append_new(labels / "Ses01F_impro03.txt", "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]")
    put("halves.avi", dialog / "avi/mp4/Ses01F_impro01.mp4")  # a second video of a dialogue
    soundfile.write(dialog / "avi/DivX/Ses01F_impro01.wav", np.full(8 * 16_000, 0.1), 16_000)
    put("tone.wav", sentences_ / "Ses01F_impro01/notes.wav")
    (sentences_ / "Ses01F_impro01/Ses01F_impro01_F001.wav").unlink()  # its dialogue has sound
    return root


def append_new(path: Path, *lines: str) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))


def label(dialogue: str, number: int) -> str:
    return f"[{number}.5000 - {number + 1}.5000]\t{dialogue}_F{number:03d}\tneu\t[2.5000, 2.5000, 2.5000]"


@pytest.fixture(scope="module")
def packed(faulty: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shards") / "iemocap"
    pack("iemocap", faulty, out, SMALL)
    return out


LEFT_OUT = 1 + 1 + 1 + 1 + 3  # a line without an id, M000 truncated, M001 mislabelled, M002 cut, three without media
OTHERS = 1 + 1 + 1 + 1  # F012 again, the cut line of M002, notes.txt, impro03 without a line


def test_every_sentence_of_the_report_counts_what_is_there(packed: Path) -> None:
    text = report_of(packed)
    assert text.splitlines()[0] == f"# iemocap: {WELL} of {WELL + LEFT_OUT} utterances packed"
    truth: dict[str, object] = {
        r"(\d+) samples without text": 1,  # F001
        r"(\d+) transcribed turns with an XX id were never scored and are ignored": 2,
        r"(\d+) lines of the transcriptions are not turns and are ignored": 1,
        r"(\d+) utterances are transcribed twice in different words; the first is taken \(the first: (\w+)\)": (
            *(1, "Ses01M_script01_1b_F012"),
        ),
        r"\S+/transcriptions/(\w+)\.txt is not UTF-8 and was read as cp1252, which is a guess: line (\d) reads .*": (
            *("Ses01M_script01_1b", 1),
        ),
        r"(\d+) utterances or dialogues have more than one video file: (\S+) is packed, (\S+) is ignored .*": (
            *(1, "Session1/dialog/avi/DivX/*.avi", "Session1/dialog/avi/mp4/*.mp4"),
        ),
        r"(\d+) media files are not named after an utterance or a dialogue and are ignored .*": 1,
        r"(\d+) samples have audio and video whose lengths differ by more than a second": None,
        r"(\d+) utterances are left out": LEFT_OUT,
        r"(\d+) other entries are no utterance, or one that is packed or counted already": OTHERS,
        r"(\d+): neither audio nor video exists": 3,
        r"(\d+): is not a label line \(\.\.\.\)": 2,
        r"(\d+): label \.\.\. is not a label of IEMOCAP": 1,
        r"(\d+): cannot be read as audio or video \(.*\)": 1,
        r"(\d+): is transcribed, but no label line that can be read names it": 1,
        r"(\d+): Ses01M_script01_1b_F012 occurs twice; the first is taken": 1,
        r"(\d+): the file's name is not a dialogue of IEMOCAP": 1,
        r"(\d+): holds no label line": 1,
    }
    hold(sentences(text), truth)
    assert len(table(text, "Skipped")) == LEFT_OUT + OTHERS and f"## Skipped ({LEFT_OUT + OTHERS})" in text


def test_missing_media_are_counted_once_and_for_their_own_reason(faulty: Path) -> None:
    skips = [skip for skip in reader.read(faulty).skips if "impro02" in skip.where or "impro02" in skip.reason]
    assert [(skip.utterance, skip.reason.partition(": ")[2]) for skip in skips] == [
        (f"Ses01F_impro02_F{n:03d}", "neither audio nor video exists") for n in range(3)
    ]


def test_the_table_of_groups_counts_samples_beside_the_published_numbers(packed: Path) -> None:
    rows = {
        group: (int(packed), published.strip("*"))
        for group, packed, published in (
            line.strip("| ").split(" | ") for line in report_of(packed).splitlines() if line.startswith("| label ")
        )
    }
    assert {group: count for group, (count, _) in rows.items() if count} == {
        **{"label ang": 1, "label exc": 1},
        **{"label neu": 1, "label xxx": 1},
    }
    assert {group: int(published) for group, (_, published) in rows.items()} == {
        f"label {name}": count for name, count in reader.LABELS.items()
    }


def test_a_report_of_an_earlier_version_is_read(packed: Path, tmp_path: Path) -> None:
    stored = json.loads((packed / "report.json").read_text())
    stored.pop("named")
    for skip in stored["skipped"]:
        skip.pop("utterance")
    (tmp_path / "report.json").write_text(json.dumps(stored))
    assert read_report(tmp_path).named == [] and read_report(tmp_path).expected == WELL + LEFT_OUT


SOUND = {
    "a second avi": ("Session1/dialog/avi/Ses01F_impro01.avi", "video"),
    "sound in front of the avi": ("Session1/dialog/avi/DivX/Ses01F_impro01.aac", "audio"),
    "a folder of its own": ("wav16k/Ses01F_impro01_F000.wav", "audio"),
    "beside the sentence": ("Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.flac", "audio"),
}


@pytest.mark.parametrize("case", SOUND)
def test_a_second_file_for_one_utterance_or_dialogue_loses_nothing(
    iemocap: Path, put: Callable[[str, Path], Path], case: str
) -> None:
    place, kind = SOUND[case]
    put("halves.avi" if kind == "video" else "tone.wav", iemocap / place)
    plan = reader.read(iemocap)
    for planned in plan.utterances:
        assert planned.video is not None and planned.video.path.suffix == ".avi"
        assert planned.audio is not None and planned.audio.path.suffix in (".wav", ".flac", ".aac")
    told = [note for note in plan.notes if f"more than one {kind} file" in note]
    assert len(told) == (0 if case == "sound in front of the avi" else 1)


def test_sound_is_taken_from_the_video_where_it_is_nowhere_else(
    iemocap: Path, put: Callable[[str, Path], Path]
) -> None:
    for path in (iemocap / "Session1/sentences/wav").rglob("Ses*.wav"):
        path.unlink()
    plan = reader.read(iemocap)
    assert all(planned.audio == planned.video and planned.audio is not None for planned in plan.utterances)
    assert any(note.startswith("4 utterances have no audio file, neither their own nor") for note in plan.notes)


def test_pictures_kept_elsewhere_are_found(iemocap: Path) -> None:
    (iemocap / "Session1/dialog/avi").rename(iemocap / "clips")
    assert all(p.video and p.video.path.is_relative_to(iemocap / "clips") for p in reader.read(iemocap).utterances)
