"""A whole pack of tiny corpora: what is in the shards, that it is the same every time, and who may read it."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import webdataset

from dual_hpc.data.format.index import IndexedSample, read_index
from dual_hpc.errors import UserError
from launch.cli.main import main
from shards.options import PackOptions
from shards.packing import pack
from shards.report import read_report
from shards.verify import verify
from tests.media.grid_coding import decoded_count

SMALL = PackOptions(video_size=24, shard_samples=2)  # as the packed_ fixtures


def files(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir()) if p.is_file()}


def samples(folder: Path) -> dict[str, tuple[Path, IndexedSample]]:
    index = read_index(folder)
    return {s.meta.key: (folder / shard.name, s) for shard in index.shards for s in shard.samples}


def member(folder: Path, key: str, extension: str) -> bytes:
    path, sample = samples(folder)[key]
    offset, size = sample.members[extension]
    return path.read_bytes()[offset : offset + size]


def test_iemocap_is_packed_whole(packed_iemocap: Path) -> None:
    out = packed_iemocap
    report = read_report(out)
    assert (report.packed, report.expected, len(report.skipped)) == (4, 5, 1)
    assert report.counts == {"label ang": 1, "label exc": 1, "label neu": 1, "label xxx": 1, "session 1": 4}
    assert report.differences["session 1"] == (1819, 4)
    assert not (out / ".pack").exists() and verify(out) == []
    meta = samples(out)["Ses01F_impro01_F000"][1].meta
    assert meta.duration == 1.0 and meta.fps == 30.0
    assert meta.sources["video"] == "Session1/dialog/avi/DivX/Ses01F_impro01.avi"
    assert str(out.parent) not in (out / "index.json").read_text() + (out / "report.md").read_text()


@pytest.mark.parametrize(
    ("named_side", "left_key"), [("left", "Ses01F_impro01_F000"), ("right", "Ses01F_impro01_M000")]
)
def test_the_speakers_half_is_kept_without_the_letter_box(
    iemocap: Path, tmp_path: Path, named_side: str, left_key: str
) -> None:
    pack("iemocap", iemocap, tmp_path / "out", PackOptions(video_size=24, named_side=named_side))
    for key in ("Ses01F_impro01_F000", "Ses01F_impro01_M000"):
        with av.open(io.BytesIO(member(tmp_path / "out", key, "mp4")), "r", format="mp4") as container:
            frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
        assert len(frames) == 30 and frames[0].shape == (24, 36, 3)
        red, _, blue = np.mean([f[4:-4, 4:-4].mean(axis=(0, 1)) for f in frames], axis=0)
        assert (red > 200 and blue < 60) if key == left_key else (blue > 200 and red < 60)


def test_meld_is_packed_with_its_unreadable_clip_reported(packed_meld: Path) -> None:
    report = read_report(packed_meld)
    assert report.packed == 3
    reasons = {skip.where: skip.reason for skip in report.skipped}
    assert reasons["dev_sent_emo.csv:2"] == "dia110_utt7: the clip is absent"
    assert reasons["train_dia125_utt3"].startswith("train/train_splits/dia125_utt3.mp4: ")
    short = samples(packed_meld)["test_dia0_utt0"][1].meta
    assert 0.06 < short.duration < 0.12 and short.has_video and short.has_audio
    wave, rate = soundfile.read(io.BytesIO(member(packed_meld, "train_dia0_utt0", "flac")))
    assert rate == 16_000 and wave.ndim == 1 and wave.size == pytest.approx(0.8 * 16_000, abs=1100)
    meta = samples(packed_meld)["train_dia0_utt0"][1].meta
    assert meta.options["audio"] == "downmix" and meta.options["audio_layout"].startswith("FL+FR+FC+LFE")


def test_long_media_are_cut_and_say_so(meld: Path, tmp_path: Path) -> None:
    pack("meld", meld, tmp_path / "out", PackOptions(video_size=24, max_seconds=0.5))
    meta = samples(tmp_path / "out")["train_dia0_utt0"][1].meta
    assert meta.duration == 0.5 and float(meta.options["cut_from"]) == pytest.approx(0.8, abs=0.1)


@pytest.mark.parametrize(("hz", "decoded"), [(5.0, 7), (10.0, 12)])  # and the first picture, and the last
def test_the_grid_is_recorded_and_its_pictures_need_no_others(
    iemocap: Path, tmp_path: Path, hz: float, decoded: int
) -> None:
    pack("iemocap", iemocap, tmp_path / "out", PackOptions(video_size=24, grid_hz=hz))
    assert read_index(tmp_path / "out").options["grid_hz"] == str(hz)
    mp4 = member(tmp_path / "out", "Ses01F_impro01_F000", "mp4")
    assert hz * 1.0 <= decoded_count(mp4, 1.0, hz) <= decoded < decoded_count(mp4, 1.0, 30.0) == 30


def test_any_number_of_workers_or_tasks_gives_the_same_bytes(
    iemocap: Path, packed_iemocap: Path, tmp_path: Path
) -> None:
    pack("iemocap", iemocap, tmp_path / "two", SMALL, workers=2)
    assert pack("iemocap", iemocap, tmp_path / "array", SMALL, array=(1, 2)) is None
    assert not (tmp_path / "array" / "index.json").exists()
    assert pack("iemocap", iemocap, tmp_path / "array", SMALL, array=(0, 2)) is not None
    assert files(packed_iemocap) == files(tmp_path / "two") == files(tmp_path / "array")


def test_a_task_says_what_it_has_done_and_nothing_of_others(
    iemocap: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [
        "pack",
        "iemocap",
        str(iemocap),
        "--out",
        str(tmp_path / "out"),
        "--video-size",
        "24",
        "--shard-samples",
        "2",
    ]
    assert main([*argv, "--array-index", "1", "--array-count", "2"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(
        f"task 1 (of 0 to 1) has written its shards into {tmp_path / 'out'}; those of other tasks are "
    )
    assert len(list((tmp_path / "out").glob("*.tar"))) == 1
    assert main([*argv, "--array-index", "0", "--array-count", "2"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("packed 4 of 5 utterances of iemocap into ")
    differing = (tmp_path / "out" / "report.md").read_text().count("**") // 2
    assert f"counts differ from the published ones in {differing} groups" in said


def test_a_finished_pack_is_not_repeated_and_not_replaced(iemocap: Path, packed_iemocap: Path, tmp_path: Path) -> None:
    first = read_report(shutil.copytree(packed_iemocap, tmp_path / "out"))
    stamp = (tmp_path / "out" / "index.json").stat().st_mtime_ns
    assert pack("iemocap", iemocap, tmp_path / "out", SMALL) == first
    assert (tmp_path / "out" / "index.json").stat().st_mtime_ns == stamp
    with pytest.raises(UserError, match="finished data set of another source or with other options"):
        pack("iemocap", iemocap, tmp_path / "out", PackOptions(video_size=32))


def test_a_finished_pack_that_lost_a_shard_is_not_called_packed(
    iemocap: Path, packed_iemocap: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(packed_iemocap, tmp_path / "out")
    (out / "shard-00001.tar").write_bytes(b"cut")
    with pytest.raises(UserError, match=r"shard-00001\.tar is missing or was changed"):
        pack("iemocap", iemocap, out, SMALL)
    (out / "shard-00001.tar").unlink()
    with pytest.raises(UserError, match=r"shard-00001\.tar is missing or was changed"):
        pack("iemocap", iemocap, out, SMALL)


@pytest.mark.parametrize("change", ["a file grows", "a file vanishes", "a label", "a text"])
def test_a_source_that_changed_meanwhile_does_not_continue_an_unfinished_pack(
    iemocap: Path, tmp_path: Path, change: str
) -> None:
    pack("iemocap", iemocap, tmp_path / "out", SMALL, array=(0, 2))
    dialog = iemocap / "Session1" / "dialog"
    wav = next((iemocap / "Session1" / "sentences").rglob("Ses01F_impro01_F000.wav"))
    if change == "a file grows":
        wav.write_bytes(wav.read_bytes() + bytes(2))
    elif change == "a file vanishes":
        wav.unlink()
    else:
        path = dialog / ("EmoEvaluation" if change == "a label" else "transcriptions") / "Ses01F_impro01.txt"
        path.write_bytes(path.read_bytes().replace(b"\tang\t", b"\tsad\t").replace(b"forms", b"farms"))
    with pytest.raises(UserError, match="unfinished pack of another source or with other options"):
        pack("iemocap", iemocap, tmp_path / "out", SMALL)


def test_the_record_of_another_job_is_refused(iemocap: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / ".pack").mkdir(parents=True)
    (tmp_path / "out" / ".pack" / "plan-of-another").touch()
    with pytest.raises(UserError, match="unfinished pack of another source"):
        pack("iemocap", iemocap, tmp_path / "out", SMALL)


def test_an_output_that_cannot_be_written_is_one_line(
    iemocap: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".pack").write_text("in the way")
    for out in (tmp_path / "out", Path("/proc/nowhere")):
        assert main(["pack", "iemocap", str(iemocap), "--out", str(out)]) == 1
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "the same command continues" in error


def test_only_unfinished_shards_are_packed_again(iemocap: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert pack("iemocap", iemocap, out, SMALL, array=(0, 2)) is None
    (done,) = sorted(out.glob("*.tar"))
    before = (done.stat().st_mtime_ns, done.stat().st_ino)
    (out / ".pack" / "00001.999.tmp").write_bytes(b"half a shard")
    pack("iemocap", iemocap, out, SMALL)
    assert (done.stat().st_mtime_ns, done.stat().st_ino) == before and verify(out) == []


def test_other_options_do_not_continue_an_unfinished_pack(iemocap: Path, tmp_path: Path) -> None:
    pack("iemocap", iemocap, tmp_path / "out", SMALL, array=(0, 2))
    with pytest.raises(UserError, match="unfinished pack of another source or with other options"):
        pack("iemocap", iemocap, tmp_path / "out", PackOptions(video_size=32, shard_samples=2))


def test_webdataset_alone_reads_the_shards(packed_meld: Path) -> None:
    urls = [str(p) for p in sorted(packed_meld.glob("*.tar"))]
    found = {s["__key__"]: s for s in webdataset.WebDataset(urls, shardshuffle=False)}
    assert set(found) == {"train_dia0_utt0", "train_dia0_utt1", "test_dia0_utt0"}
    assert json.loads(found["train_dia0_utt0"]["json"])["label"] == "joy"
    assert found["train_dia0_utt0"]["txt"].decode() == "Oh, it\u2019s you"
    for extension in ("json", "flac", "mp4", "txt"):
        assert found["train_dia0_utt0"][extension] == member(packed_meld, "train_dia0_utt0", extension)


@pytest.mark.skipif(shutil.which("tar") is None, reason="no tar program")
def test_tar_reads_the_shards(packed_meld: Path) -> None:
    for path in packed_meld.glob("*.tar"):
        listed = subprocess.run(["tar", "-tvf", path], capture_output=True, text=True, check=True).stdout.splitlines()
        assert listed and all(line.startswith("-rw-r--r-- ") and "1970-01-01" in line for line in listed)
        with tarfile.open(path) as tar:
            assert len(tar.getmembers()) == len(listed)


def test_the_command_says_in_one_line_what_to_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    for argv, expected in [
        (["meld", str(tmp_path / "absent")], "does not exist"),
        (["iemocap", str(tmp_path / "empty")], "has no labels"),
        (["meld", str(tmp_path / "empty"), "--workers", "0"], "--workers: 0"),
        (["iemocap", str(tmp_path / "empty"), "--picture-rows", "x"], "--picture-rows: 'x'"),
        (
            ["meld", str(tmp_path / "empty"), "--picture-rows", "0:1"],
            "--picture-rows: meld does not take it, only iemocap",
        ),
        (["meldd", str(tmp_path / "empty")], "there is no corpus 'meldd'; did you mean 'meld'"),
        (["meld", str(tmp_path / "empty"), "--array-index", "2", "--array-count", "2"], "--array-index: 2"),
        (["meld", str(tmp_path / "empty"), "--video-size", "3"], "--video-size: 3"),
        (["meld", str(tmp_path / "empty"), "--grid-hz", "nan"], "--grid-hz: nan"),
        (["meld", str(tmp_path / "empty"), "--name", "../mine"], "--name: meld does not take it, only manifest"),
    ]:
        assert main(["pack", *argv, "--out", str(tmp_path / "out")]) == 2
        error = capsys.readouterr().err
        assert expected in error and error.count("\n") == 1


def test_an_archive_or_a_picture_given_as_a_corpus_is_called_that(
    packed_meld: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tar = next(packed_meld.glob("*.tar"))
    sheet = packed_meld / "contact_sheet.png"
    for argv, expected in [
        (["pack", "meld", str(tar)], f"source: {tar} is a tar archive; unpack it and give the folder"),
        (["pack", "manifest", str(tar)], f"{tar}: is a tar archive"),
        (["pack", "manifest", str(sheet)], f"{sheet}: is a PNG picture"),
        (
            ["inspect", str(tar)],
            f"folder: {tar} is a tar archive, not a folder of shards; give its folder {packed_meld}",
        ),
        (
            ["inspect", str(packed_meld.parent)],
            f"folder: {packed_meld.parent} has no index.json, but folders in it have",
        ),
    ]:
        assert main([*argv, *(["--out", str(tmp_path / "out")] if argv[0] == "pack" else [])]) == 2
        error = capsys.readouterr().err
        assert expected in error and error.count("\n") == 1


def test_help_imports_nothing_heavy() -> None:
    probe = (
        "import sys, argparse, launch.cli.extract, launch.cli.inspect, launch.cli.pack\n"
        "for verb in (launch.cli.extract, launch.cli.inspect, launch.cli.pack):\n"
        "    verb.add_arguments(argparse.ArgumentParser())\n"
        "print(sorted({m.partition('.')[0] for m in sys.modules} & {'torch', 'numpy', 'av', 'pydantic', 'rich'}))"
    )
    assert subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True).stdout.strip() == "[]"
