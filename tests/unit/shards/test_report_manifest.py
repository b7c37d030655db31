"""Every sentence about a packed manifest with each kind of fault: its numbers are those counted while it was made."""

from __future__ import annotations

import io
import re
import struct
import tarfile
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from dual_hpc.data.format.index import read_index
from launch.cli.main import main
from tests.unit.shards.conftest import write_video
from tests.unit.shards.told import hold, report_of, sentences, table

RATE = 16_000
LIMIT = 3.0  # --max-seconds
LOUD = 70  # samples beyond full scale


def wav(path: Path, seconds: float, level: float = 0.3) -> str:
    soundfile.write(path, level * np.sin(np.arange(round(seconds * RATE)) / 9), RATE, subtype="FLOAT")
    return path.name


def misstated(path: Path, seconds: float) -> str:
    """A recording whose header says that it lasts one second."""
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for at in range(0, round(seconds * RATE), 1600):
            frame = av.AudioFrame.from_ndarray(np.full((1, 1600), 900, np.int16), format="s16", layout="mono")
            frame.rate, frame.pts = RATE, at
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    data = bytearray(path.read_bytes())
    at = data.index(b"\x44\x89\x88") + 3  # the element Duration, in milliseconds
    data[at : at + 8] = struct.pack(">d", 1000.0)
    path.write_bytes(data)
    return path.name


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `mine.csv` in GBK: rows of every fault, named after it."""
    root = tmp_path_factory.mktemp("faulty")
    write_video(root / "both.mp4", 1.0, (64, 48), "libx264", "stereo")
    write_video(root / "silent.mp4", 1.0, (64, 48), "libx264")
    write_video(root / "long.mp4", 2.9, (64, 48), "libx264")
    Image.fromarray(np.full((48, 64, 3), 90, np.uint8)).save(root / "still.gif")
    Image.fromarray(np.full((48, 64, 3), 90, np.uint8)).save(root / "still.png")
    wav(root / "tone.wav", 1.0)
    wave = np.zeros(RATE)
    wave[:LOUD] = 1.5
    soundfile.write(root / "loud.wav", wave, RATE, subtype="FLOAT")
    tone = 0.3 * np.sin(np.arange(RATE) / 9)
    soundfile.write(root / "opposite.wav", np.stack([tone, -tone], axis=1), RATE)
    (root / "pointer.wav").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    (root / "cut.mp4").write_bytes((root / "both.mp4").read_bytes()[:2000])
    wav(root / "beside.wav", 1.0)
    write_video(root / "beside.mp4", 1.0, (64, 48), "libx264")
    rows = [
        "well,tone.wav,silent.mp4,你好，再见,高兴,,",
        "well2,both.mp4,both.mp4,你好,高兴,,",
        "no_text,tone.wav,silent.mp4,,悲伤,,",
        "no_video,tone.wav,,你好,悲伤,,",
        "no_audio,,silent.mp4,你好,悲伤,,",
        f"long,{wav(root / 'long.wav', LIMIT + 1)},silent.mp4,你好,高兴,,",
        f"endless,{misstated(root / 'lie.mkv', LIMIT + 1)},long.mp4,你好,高兴,,",
        f"short,{wav(root / 'short.wav', 0.1)},silent.mp4,你好,高兴,0,0.15",
        "loud,loud.wav,silent.mp4,你好,高兴,,",
        "opposite,opposite.wav,silent.mp4,你好,高兴,,",
        "early,tone.wav,silent.mp4,你好,高兴,0.2,2.2",
        "still,tone.wav,still.gif,你好,高兴,,",
        "unused_audio,,both.mp4,你好,高兴,,",
        "unused_video,both.mp4,,你好,高兴,,",
        "named_twice,tone.wav,short.wav,你好,高兴,,",
        "named_wrong,silent.mp4,both.mp4,你好,高兴,,",
        "apart,tone.wav,long.mp4,你好,高兴,,",
        "neighbour,,beside.mp4,你好,高兴,,",
        "absent,nowhere.wav,,你好,高兴,,",
        "picture,still.png,,你好,高兴,,",
        "pointer,pointer.wav,,你好,高兴,,",
        "cut,cut.mp4,cut.mp4,你好,高兴,,",
        "well,tone.wav,,你好,高兴,,",
        "columns,tone.wav",
    ]
    table = "\r\n".join(["id,audio,video,text,label,start,end", *rows]) + "\r\n"
    (root / "mine.csv").write_bytes(table.encode("gbk"))
    return root


@pytest.fixture(scope="module")
def packed(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The shards, and what the command said."""
    out = tmp_path_factory.mktemp("shards") / "mine"
    argv = ["pack", "manifest", str(corpus / "mine.csv"), "--out", str(out), "--video-size", "24"]
    with pytest.MonkeyPatch.context() as patch:
        shown = io.StringIO()
        patch.setattr("sys.stdout", shown)
        assert main([*argv, "--max-seconds", str(LIMIT)]) == 0
    return out, shown.getvalue()


PACKED, LEFT_OUT = 18, 6
NOTES: dict[str, object] = {
    r"(\d+) samples without audio": 4,  # no_audio, unused_audio, named_wrong, neighbour
    r"(\d+) samples without video": 3,  # no_video, unused_video, named_twice
    r"(\d+) samples without text": 1,
    r"mine\.csv is not UTF-8 and was read as gb18030, which is a guess: line 2 reads '(.*)'; if that is wrong, .*": (
        "tone.wav,silent.mp4,你好，再见,高兴,,",
    ),
    r"(\d+) rows name no audio, but a file of that kind lies beside the one they name \(the first: (.*)\); .*": (
        *(1, "beside.wav"),
    ),
    r"(\d+) samples are longer than --max-seconds and were cut": 1,
    r"(\d+) samples fill --max-seconds, and their files do not say whether more follows": 1,
    r"(\d+) samples are shorter than 0.2 s": 1,
    r"(\d+) samples have audio beyond full scale: (\d+) audio samples were clipped .*": (1, LOUD),
    r"(\d+) samples have media that end before the annotated end .*": 1,
    r"no sample has a split or a session: to train on them set data\.split=\{(.*)\}": ("dialogue: [0.7, 0.15, 0.15]",),
    r"no sample names its speaker: one may be in training and test, .*": (),
    r"(\d+) samples have audio and video whose lengths differ by more than a second": 2,  # long, apart
    r"(\d+) samples have a video of a single picture": 1,
    r"(\d+) samples have a video file with sound that the corpus does not name as its audio; it is not packed": 1,
    r"(\d+) samples have an audio file with pictures that the corpus does not name as its video; .*": 1,
    r"(\d+) samples have a file named for its audio that holds none": 1,
    r"(\d+) samples have a file named for its video that holds none": 1,
    r"(\d+) samples have channels in opposite phase: their mix is almost silent .*": 1,
}


def test_every_sentence_of_the_report_counts_what_is_there(packed: tuple[Path, str]) -> None:
    out, _ = packed
    text = report_of(out)
    assert text.splitlines()[0] == f"# mine: {PACKED} of {PACKED + LEFT_OUT} utterances packed"
    truth = {
        **NOTES,
        r"(\d+) utterances are left out": LEFT_OUT,
        r"(\d+): audio \.\.\. does not exist": 1,
        r"(\d+): is a PNG picture, not audio or video": 1,
        r"(\d+): is a Git LFS pointer of \d+ bytes.*": 1,
        r"(\d+): cannot be read as audio or video \(.*\)": 1,
        r"(\d+): id well occurs twice; the first is taken": 1,
        r"(\d+): has 2 columns, the header has 7": 1,
    }
    hold(sentences(text), truth)
    assert f"## Skipped ({LEFT_OUT})" in text and len(table(text, "Skipped")) == LEFT_OUT


def test_the_size_and_hours_are_those_of_the_files(packed: tuple[Path, str]) -> None:
    out, _ = packed
    tars = list(out.glob("*.tar"))
    seconds = 0.0
    for shard in read_index(out).shards:
        data = (out / shard.name).read_bytes()
        for sample in shard.samples:
            lengths = []
            for extension, (offset, size) in sample.members.items():
                member = io.BytesIO(data[offset : offset + size])
                if extension == "flac":
                    lengths.append(soundfile.info(member).duration)
                elif extension == "mp4":
                    with av.open(member) as container:
                        stream = container.streams.video[0]
                        assert stream.average_rate is not None
                        lengths.append(len(list(container.decode(video=0))) / float(stream.average_rate))
            seconds += max(lengths)
    match = re.search(r"^(\d+) shards, ([\d.]+) MB, ([\d.]+) hours", report_of(out), re.MULTILINE)
    assert match is not None
    assert int(match[1]) == len(tars) and match[2] == f"{sum(p.stat().st_size for p in tars) / 1e6:.1f}"
    assert float(match[3]) == pytest.approx(seconds / 3600, abs=0.006)


def test_the_samples_to_look_at_are_named_one_by_one(packed: tuple[Path, str]) -> None:
    named = table(report_of(packed[0]), "Packed samples to look at")
    assert named == {
        "no_text": "has no text",
        "no_video": "has no video",
        "no_audio": "has no audio",
        "neighbour": "has no audio",
        "long": "lasts 4.000 s, cut at --max-seconds (3.0 s); its audio lasts 3.000 s, its video 1.000 s",
        "endless": "fills --max-seconds (3.0 s); its file does not say whether more follows",
        "short": "lasts 0.167 s, less than 0.2 s",
        "early": "its media end 1.2 s before the annotated end",
        "still": "its video is a single picture",
        "unused_audio": "has no audio; its file holds audio too, which the corpus does not name; it is not packed",
        "unused_video": "has no video; its file holds video too, which the corpus does not name; it is not packed",
        "named_twice": "has no video; the file named for its video holds none",
        "named_wrong": "has no audio; the file named for its audio holds none",
        "apart": "its audio lasts 1.000 s, its video 2.900 s",
    }


def test_the_command_says_what_the_report_says(packed: tuple[Path, str]) -> None:
    out, said = packed
    lines = [line.strip() for line in said.splitlines()]
    assert lines[0] == f"packed {PACKED} of {PACKED + LEFT_OUT} utterances of mine into {out}"
    assert f"{LEFT_OUT} utterances are left out" in lines
    skipped = [line for line in lines if line.startswith("skipped ")]
    assert len(skipped) == 5 and f"... and {LEFT_OUT - 5} more" in lines
    notes = [line.removeprefix("note: ") for line in lines if line.startswith("note: ")]
    hold(notes, {pattern: truth for pattern, truth in NOTES.items() if "without" not in pattern})


def test_inspect_says_the_same_of_the_shards(packed: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = packed
    assert main(["inspect", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    told = [line for line in lines if re.match(r"\d+ samples (?!in )", line)]
    hold(told, {p: truth for p, truth in NOTES.items() if "samples" in p})
    durations = [sample.meta.duration for shard in read_index(out).shards for sample in shard.samples]
    line = next(line for line in lines if line.startswith("seconds: "))
    said = dict(re.findall(r"(min|median|p95|max|mean) ([\d.]+)", line))
    truth = [min(durations), np.median(durations), np.quantile(durations, 0.95), max(durations), np.mean(durations)]
    assert [said[name] for name in ("min", "median", "p95", "max", "mean")] == [f"{value:.2f}" for value in truth]
    assert f"{PACKED} samples in {len(list(out.glob('*.tar')))} shards" in lines[1]


def test_an_encoding_that_is_given_is_no_guess(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["pack", "manifest", str(corpus / "mine.csv"), "--out", str(tmp_path / "out"), "--video-size", "24"]
    assert main([*argv, "--encoding", "gbk"]) == 0
    assert "guess" not in capsys.readouterr().out
    assert {s.meta.label for shard in read_index(tmp_path / "out").shards for s in shard.samples} == {"高兴", "悲伤"}
    assert main([*argv, "--encoding", "utf-8"]) == 2
    assert "--encoding: line 2 of" in capsys.readouterr().err
    assert main([*argv, "--encoding", "nonsense"]) == 2
    assert "--encoding: there is no encoding 'nonsense'" in capsys.readouterr().err


def test_inspect_shows_where_in_the_tar_each_member_lies(
    packed: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = packed
    for key in ("well", "no_video", "short"):
        assert main(["inspect", str(out), "--sample", key]) == 0
        said = capsys.readouterr().out
        (shard,) = [path for path in out.glob("*.tar") if f"{path.name}/{key}\n" in said]
        with tarfile.open(shard) as tar:
            members = {m.name: (m.size, m.offset_data) for m in tar if m.name.startswith(f"{key}.")}
        listed = re.findall(r"^  \.(\w+): (\d+) bytes at (\d+)$", said, re.MULTILINE)
        assert {f"{key}.{extension}": (int(size), int(at)) for extension, size, at in listed} == members


def test_inspect_counts_groups_and_bytes(packed: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = packed
    assert main(["inspect", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    groups = dict(line.rsplit(maxsplit=1) for line in lines if line.startswith("  no split "))
    sad = 3  # no_text, no_video, no_audio
    assert groups == {"  no split 高兴": str(PACKED - sad), "  no split 悲伤": str(sad)}
    tars = list(out.glob("*.tar"))
    size = sum(path.stat().st_size for path in tars) / 1e6
    assert lines[1].startswith(f"{PACKED} samples in {len(tars)} shards, {size:.1f} MB, ")
    assert main(["inspect", str(out), "--verify"]) == 0
    lines = capsys.readouterr().out.splitlines()
    videos = PACKED - 3
    assert re.fullmatch(rf"videos by the decoder that training will use: \w+ {videos}", lines[0])
    assert lines[1] == f"{out}: {PACKED} samples in {len(tars)} shards by its index, no faults"
    damaged = tars[0].read_bytes()
    tars[0].write_bytes(damaged[:-1] + b"\1")
    try:
        assert main(["inspect", str(out), "--verify"]) == 1
        assert "by its index, 1 fault" in capsys.readouterr().out
    finally:
        tars[0].write_bytes(damaged)
