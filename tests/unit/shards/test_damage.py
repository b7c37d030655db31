"""Two hundred damaged inputs: each is packed or reported, never a traceback, never a file outside the output."""

from __future__ import annotations

import json
import os
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dual_hpc.data.format.index import read_index
from dual_hpc.errors import UserError
from shards.corpora import read_corpus
from shards.job import ShardJob, pack_shard
from shards.options import PackOptions
from shards.pack_state import PackState
from shards.packing import pack
from shards.verify import verify

DAMAGED_MEDIA = 150


def damaged(media: Path, count: int) -> Iterator[tuple[str, bytes]]:
    """(suffix, content) of files that were media once, or never."""
    rng = random.Random(3)
    whole = {
        p.suffix: p.read_bytes() for p in sorted(media.iterdir()) if p.name in ("clip.mp4", "halves.avi", "tone.wav")
    }
    never = [b"", b"\0" * 1000, b"RIFF", b"<html></html>", b"%PDF-1.7", b"\x89PNG\r\n\x1a\n" + b"\0" * 64]
    for number in range(count):
        suffix, data = rng.choice(sorted(whole.items()))
        content = bytearray(data)
        kind = number % 6
        if kind == 0:
            del content[rng.randrange(len(content)) :]
        elif kind == 1:
            at = rng.randrange(len(content))
            content[at : at + 2000] = bytes(len(content[at : at + 2000]))
        elif kind == 2:
            for _ in range(rng.choice((1, 20, 400))):
                content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        elif kind == 3:  # absurd numbers in the headers
            at = rng.randrange(8, 200) // 4 * 4
            content[at : at + 4] = struct.pack("<I", rng.choice((0, 0xFFFFFFFF, 0x7FFFFFFF, 65535)))
        elif kind == 4:
            suffix = rng.choice([s for s in whole if s != suffix])
        else:
            content = bytearray(rng.choice(never))
        yield suffix, bytes(content)


def tree(folder: Path) -> set[str]:
    return {str(p) for p in folder.rglob("*")}


@pytest.mark.timeout(600)
def test_damaged_media_are_packed_or_reported(media: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    rows = []
    for number, (suffix, content) in enumerate(damaged(media, DAMAGED_MEDIA)):
        (source / f"d{number}{suffix}").write_bytes(content)
        kinds = ("audio",) if suffix == ".wav" else ("video",) if suffix == ".avi" else ("audio", "video")
        stretch = {"start": 1.0, "end": 2.0} if suffix == ".avi" else {}
        rows.append({"id": f"d{number}", "label": "x", **dict.fromkeys(kinds, f"d{number}{suffix}"), **stretch})
    (source / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)))
    before = tree(tmp_path)
    report = pack("manifest", source / "mine.jsonl", out, PackOptions(video_size=24), workers=2)
    assert report is not None and report.packed + len(report.skipped) == len(rows)
    packed = {s.meta.key for shard in read_index(out).shards for s in shard.samples}
    assert packed | {skip.where for skip in report.skipped} == {row["id"] for row in rows}
    assert len(report.skipped) > DAMAGED_MEDIA / 3
    for skip in report.skipped:
        assert f"{skip.where}." in skip.reason and "\n" not in skip.reason and str(tmp_path) not in skip.reason
    assert verify(out) == []
    assert all(path.startswith(str(out)) for path in tree(tmp_path) - before)


MELD_TABLES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "zeros": lambda data: bytes(len(data)),
    "header only": lambda data: data.split(b"\r\n")[0],
    "no header": lambda data: data.split(b"\r\n", 1)[1],
    "semicolons": lambda data: data.replace(b",", b";"),
    "utf-16": lambda data: data.decode("utf-8").encode("utf-16"),
    "cp1252": lambda data: data.decode("utf-8").encode("cp1252", "replace"),
    "nul in a cell": lambda data: data.replace(b"No", b"N\0o"),
    "an id that climbs": lambda data: data.replace(b",0,1,", b",../../0,1,"),
    "an absolute id": lambda data: data.replace(b",0,1,", b",/etc/passwd,1,"),
    "a column too many": lambda data: data.replace(b",0,1,", b",0,1,2,"),
    "a column too few": lambda data: data.replace(b",0,1,", b",0,"),
    "negative ids": lambda data: data.replace(b",0,1,", b",-1,-1,"),
    "a row twice": lambda data: data + data.split(b"\r\n")[2] + b"\r\n",
    "an open quote": lambda data: data + b'9,"never closed',
    "lone carriage returns": lambda data: data.replace(b"\r\n", b"\r"),
    "a terminal's escapes": lambda data: data.replace(b"Joey", b"\x1b[2J\x07Joey"),
    "markdown": lambda data: data.replace(b",joy,", b",|<script>|,"),
}


@pytest.mark.parametrize("damage", MELD_TABLES)
@pytest.mark.parametrize("trial", [0, 1])
def test_damaged_meld_tables_are_planned_or_refused_in_one_line(meld: Path, damage: str, trial: int) -> None:
    table = meld / ("train_sent_emo.csv", "dev_sent_emo.csv")[trial]
    table.write_bytes(MELD_TABLES[damage](table.read_bytes()))
    try:
        plan = read_corpus("meld", meld)
    except UserError as error:
        assert "\n" not in str(error)
        return
    assert all(p.audio is not None and p.audio.path.is_relative_to(meld) for p in plan.utterances)
    for skip in plan.skips:
        assert skip.where.startswith(("train_sent_emo.csv:", "dev_sent_emo.csv:")) and skip.reason.isprintable()
    assert all((p.text or "").isprintable() and p.fields["speaker"].isprintable() for p in plan.utterances)


IEMOCAP_FILES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "zeros": lambda data: bytes(len(data)),
    "cut": lambda data: data[: len(data) // 2],
    "utf-16": lambda data: data.decode("latin-1").encode("utf-16"),
    "carriage returns": lambda data: data.replace(b"\n", b"\r\n"),
    "an id that climbs": lambda data: data.replace(b"Ses01F_impro01_F", b"../../../tmp/x_F"),
    "numbers beyond all": lambda data: data.replace(b"0000", b"9" * 400),
    "no numbers": lambda data: data.replace(b"0000", b"nan"),
    "one long line": lambda data: data.replace(b"\n", b" ") * 1000,
}


@pytest.mark.parametrize("damage", IEMOCAP_FILES)
@pytest.mark.parametrize("folder", ["EmoEvaluation", "transcriptions"])
def test_damaged_iemocap_annotations_are_planned_or_reported(iemocap: Path, damage: str, folder: str) -> None:
    path = iemocap / "Session1" / "dialog" / folder / "Ses01F_impro01.txt"
    path.write_bytes(IEMOCAP_FILES[damage](path.read_bytes()))
    plan = read_corpus("iemocap", iemocap)
    assert {p.key for p in plan.utterances} <= {
        *("Ses01F_impro01_F000", "Ses01F_impro01_F001", "Ses01F_impro01_M000"),
        "Ses01M_script01_1b_F012",
    }
    assert all(skip.reason.isprintable() for skip in plan.skips)


def test_links_pipes_and_folders_with_the_name_of_a_clip_do_not_stall(meld: Path) -> None:
    folder = meld / "train" / "train_splits"
    for name, make in (("dia0_utt0.mp4", os.mkfifo), ("dia0_utt1.mp4", os.mkdir)):
        (folder / name).unlink()
        make(folder / name)
    (folder / "dia125_utt3.mp4").unlink()
    (folder / "dia125_utt3.mp4").symlink_to("dia125_utt3.mp4")
    reasons = [skip.reason for skip in read_corpus("meld", meld).skips]
    assert sum("the clip is absent" in reason for reason in reasons) == 4


@pytest.mark.timeout(600)
def test_pipes_and_folders_with_the_name_of_an_annotation_do_not_stall(iemocap: Path) -> None:
    before = read_corpus("iemocap", iemocap)
    for folder in ("EmoEvaluation", "transcriptions"):
        os.mkfifo(iemocap / "Session1" / "dialog" / folder / "Ses01F_impro02.txt")
        (iemocap / "Session1" / "dialog" / folder / "Ses01F_impro03.txt").mkdir()
    assert read_corpus("iemocap", iemocap) == before


def test_folders_behind_links_are_read_once_even_where_they_lead_in_a_circle(iemocap: Path, tmp_path: Path) -> None:
    before = read_corpus("iemocap", iemocap).utterances
    divx = iemocap / "Session1" / "dialog" / "avi" / "DivX"
    divx.rename(tmp_path / "other_disk")
    divx.symlink_to(tmp_path / "other_disk")
    (tmp_path / "other_disk" / "again").symlink_to(tmp_path / "other_disk")
    assert read_corpus("iemocap", iemocap).utterances == before


def test_transcriptions_behind_links_are_read(iemocap: Path, tmp_path: Path) -> None:
    before = read_corpus("iemocap", iemocap).utterances
    folder = iemocap / "Session1" / "dialog" / "transcriptions"
    folder.rename(tmp_path / "other_disk")
    folder.mkdir()
    (folder / "Ses01").symlink_to(tmp_path / "other_disk")
    assert read_corpus("iemocap", iemocap).utterances == before and any(p.text for p in before)


def test_reports_name_files_the_same_from_wherever_the_command_was_given(
    meld: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meld.rename(tmp_path / "s")  # "s/" stands in the names of MELD's own folders, too
    monkeypatch.chdir(tmp_path)
    options = PackOptions(video_size=24)
    relative = pack("meld", Path("s"), Path("one"), options)
    monkeypatch.chdir(tmp_path / "s" / "train")
    dotted = pack("meld", Path(".."), Path("../../two"), options)
    absolute = pack("meld", tmp_path / "s", tmp_path / "three", options)
    assert relative == dotted == absolute and relative is not None
    assert any(skip.reason.startswith("train/train_splits/dia125_utt3.mp4: ") for skip in relative.skipped)


def test_names_that_no_terminal_should_see_are_packed_and_shown_harmlessly(media: Path, tmp_path: Path) -> None:
    """Names of files are bytes: not UTF-8, with line ends, or with a terminal's escapes."""
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    names = ["caf\udce9.wav", "two\nlines.wav", "\x1b[2Jescape.wav", "| pipe <b> `.wav", " blank .wav", "-rf.wav"]
    for name in names:
        (source / name).write_bytes((media / "tone.wav").read_bytes())
    (source / "broken\n\x1b[2J.wav").write_bytes(b"RIFF")
    rows = [{"id": f"n{k}", "label": "x", "audio": name} for k, name in enumerate([*names, "broken\n\x1b[2J.wav"])]
    (source / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)))
    report = pack("manifest", source / "mine.jsonl", out, PackOptions(shard_samples=3))
    assert report is not None
    shown = {s.meta.key: s.meta.sources["audio"] for shard in read_index(out).shards for s in shard.samples}
    assert shown["n0"] == "caf\ufffd.wav" and shown["n1"] == "two\ufffdlines.wav" and shown["n5"] == "-rf.wav"
    # A name's own blanks are not the manifest's to trim, but nobody writes such names: that row is told as absent.
    assert {skip.where for skip in report.skipped} == {"mine.jsonl:5", "n6"}
    assert all(skip.reason.isprintable() for skip in report.skipped) and verify(out) == []


def test_an_utterance_that_kills_the_decoder_is_left_out(iemocap: Path, tmp_path: Path) -> None:
    plan = read_corpus("iemocap", iemocap)
    (tmp_path / "out" / ".pack").mkdir(parents=True)
    job = ShardJob(0, plan.utterances, plan.root, tmp_path / "out", PackOptions(video_size=24))
    pack_shard(job, lambda key: None, crashing_keys={"Ses01F_impro01_F000"})
    part = PackState(tmp_path / "out").read(0)
    assert part is not None and part.shard is not None and len(part.shard.samples) == 3
    ((key, reason),) = part.skips
    assert key == "Ses01F_impro01_F000" and reason.endswith(
        "Ses01F_impro01.avi: the decoder crashed on it or never ended"
    )
