from __future__ import annotations

import json
import re
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from shards.synthetic import Summary, generate

pytestmark = pytest.mark.slow

BLOCK = re.compile(
    r"^\[(\d+\.\d{4}) - (\d+\.\d{4})\]\t(Ses0\d\w+)\t(\w{3})\t\[(\d\.\d{4}), (\d\.\d{4}), (\d\.\d{4})\]$"
)
TURN = re.compile(r"^(Ses0\d\w+) \[(\d+\.\d{4})-(\d+\.\d{4})\]: (.+)$")


def rows(summary: Summary) -> list[dict]:
    return [json.loads(line) for line in summary.plan.read_text(encoding="utf-8").splitlines()]


def real(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("._"))


def frames(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="gray")[::4, ::4] for frame in container.decode(video=0)])


def test_every_label_block_agrees_with_the_plan(iemocap: Summary) -> None:
    planned = {row["id"]: row for row in rows(iemocap)}
    found = {}
    for path in real(iemocap.folder, "Session?/dialog/EmoEvaluation/*.txt"):
        text = path.read_text()
        assert text.startswith("% [")
        for block in text.split("\n\n")[1:]:
            first, *raters = block.strip().split("\n")
            match = BLOCK.match(first)
            assert match, first
            start, end, name, label, *vad = match.groups()
            assert name.startswith(path.stem) and all(1 <= float(value) <= 5 for value in vad)
            assert sum(line.startswith("C-E") for line in raters) == 3
            assert all(re.match(r"^(C-\w\d:\t(\w+; ?)+\t\(|A-\w\d:\tval \d; act \d; dom  \d;\t\()", r) for r in raters)
            found[name] = (label, float(start), float(end))
    assert found == {name: (row["label"], row["start"], row["end"]) for name, row in planned.items()}
    assert len(found) == iemocap.utterances == 20


def test_transcriptions_hold_every_sentence_and_irregular_lines(iemocap: Summary) -> None:
    texts, unscored, malformed = {}, [], []
    for path in real(iemocap.folder, "Session?/dialog/transcriptions/*.txt"):
        for line in path.read_text(encoding="ascii").splitlines():
            match = TURN.match(line)
            if match is None:
                malformed.append(line)
            elif "XX" in match[1]:
                unscored.append(match[1])
            else:
                texts[match[1]] = match[4]
    assert texts == {row["id"]: row["text"].replace("’", "'") for row in rows(iemocap)}
    assert malformed and {name[:5] for name in unscored} == {"Ses03", "Ses05"}


def test_sentence_wavs_are_mono_16_bit_and_as_long_as_annotated(iemocap: Summary) -> None:
    for row in rows(iemocap):
        name = row["id"]
        info = soundfile.info(iemocap.folder / f"Session{name[4]}/sentences/wav/{row['dialogue']}/{name}.wav")
        assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
        assert abs(info.duration - (row["end"] - row["start"])) < 1e-3


def test_a_sentence_is_cut_from_its_speakers_microphone(iemocap: Summary) -> None:
    for row in rows(iemocap)[:6]:
        folder = iemocap.folder / f"Session{row['session']}"
        both, rate = soundfile.read(folder / f"dialog/wav/{row['dialogue']}.wav")
        alone, _ = soundfile.read(folder / f"sentences/wav/{row['dialogue']}/{row['id']}.wav")
        channel = 0 if row["id"].split("_")[-1][0] == row["dialogue"][5] else 1
        start = round(row["start"] * rate)
        np.testing.assert_allclose(both[start : start + len(alone), channel], alone, atol=1e-4)


def test_videos_are_letter_boxed_halves_without_b_frames(iemocap: Summary) -> None:
    path = real(iemocap.folder, "Session1/dialog/avi/DivX/*.avi")[0]
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("mpeg4", 720, 480)
        assert not stream.codec_context.has_b_frames and abs(float(stream.average_rate or 0) - 29.97) < 0.01
    pictures = frames(path)
    assert pictures[:, :28].max() < 40 and pictures[:, 92:].max() < 40
    assert pictures[:, 35:85].mean() > 60


def test_the_speakers_half_moves_more_and_the_listeners_moves_too(iemocap: Summary) -> None:
    own, other = [], []
    pictures: dict[str, np.ndarray] = {}
    for row in rows(iemocap):
        name = row["dialogue"]
        if name not in pictures:
            path = iemocap.folder / f"Session{row['session']}/dialog/avi/DivX/{name}.avi"
            pictures[name] = np.abs(np.diff(frames(path).astype(np.float32), axis=0))
        moved = pictures[name][round(row["start"] * 29.97) : round(row["end"] * 29.97)]
        halves = [moved[..., :90].mean(), moved[..., 90:].mean()]
        speaks_left = row["id"].split("_")[-1][0] == name[5]
        own.append(halves[0 if speaks_left else 1])
        other.append(halves[1 if speaks_left else 0])
    assert np.mean(own) > 1.2 * np.mean(other) and np.min(other) > 0


def test_litter_and_single_raters_files_lie_about(iemocap: Summary) -> None:
    assert list(iemocap.folder.glob("Session*/dialog/avi/DivX/._*.avi"))
    assert list(iemocap.folder.glob("Session*/dialog/EmoEvaluation/._*.txt"))
    for name in ("Categorical", "Attribute", "Self-evaluation"):
        assert list(iemocap.folder.glob(f"Session*/dialog/EmoEvaluation/{name}/*.txt"))


def test_the_short_layout_has_three_folders_and_no_labels(tmp_path: Path) -> None:
    generate("iemocap", tmp_path / "IEMOCAP", 40, layout="short", media="tiny", progress=False)
    assert sorted(p.name for p in (tmp_path / "IEMOCAP").iterdir()) == ["Audio", "Transcriptions", "Video"]
    assert len(real(tmp_path, "IEMOCAP/Audio/*/*.wav")) == 40
    assert real(tmp_path, "IEMOCAP/Video/*.avi") and real(tmp_path, "IEMOCAP/Transcriptions/*.txt")


@pytest.mark.parametrize("quirks", [True, False])
def test_quirks_are_an_option(tmp_path: Path, quirks: bool) -> None:
    generate("iemocap", tmp_path / "c", 40, media="tiny", quirks=quirks, progress=False)
    lines = [line for p in real(tmp_path, "c/*/dialog/transcriptions/*.txt") for line in p.read_text().splitlines()]
    assert any("XX" in line for line in lines) is quirks
    assert bool(list(tmp_path.rglob("._*"))) is quirks
