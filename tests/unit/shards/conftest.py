"""Tiny corpora in the official layouts, with media small enough that a whole pack takes a second."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from shards.options import PackOptions
from shards.packing import pack

RATE = 16_000
SMALL = PackOptions(video_size=24, shard_samples=2)


def write_video(path: Path, seconds: float, size: tuple[int, int], codec: str, audio: str | None = None) -> None:
    """Left half red, right half blue, letter-boxed in white; with `audio`, a tone in that layout."""
    width, height = size
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30, options={"g": "12", "qscale": "3"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        sound = container.add_stream("aac", rate=48_000, layout=audio) if audio else None
        picture = np.full((height, width, 3), 255, np.uint8)
        picture[height // 4 : height * 3 // 4, : width // 2] = (255, 0, 0)
        picture[height // 4 : height * 3 // 4, width // 2 :] = (0, 0, 255)
        for _ in range(max(1, round(seconds * 30))):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
        if sound is not None:
            channels = len(sound.layout.channels)
            tone = 0.3 * np.sin(2 * np.pi * 300 * np.arange(round(seconds * 48_000)) / 48_000)
            for at in range(0, tone.size, 1024):
                block = np.tile(tone[at : at + 1024].astype(np.float32), (channels, 1))
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout=audio)
                frame.rate, frame.pts = 48_000, at
                container.mux(sound.encode(frame))
            container.mux(sound.encode())


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """clip.mp4 (5.1), stereo.mp4, short.mp4 (0.064 s), halves.avi (8 s), tone.wav (1 s), noise.wav."""
    folder = tmp_path_factory.mktemp("media")
    write_video(folder / "clip.mp4", 0.8, (64, 48), "libx264", "5.1")
    write_video(folder / "stereo.mp4", 0.6, (64, 48), "libx264", "stereo")
    write_video(folder / "short.mp4", 0.064, (64, 48), "libx264", "stereo")
    write_video(folder / "halves.avi", 8.0, (72, 48), "mpeg4")
    tone = 0.3 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE)
    soundfile.write(folder / "tone.wav", tone, RATE, subtype="PCM_16")
    return folder


@pytest.fixture(scope="session")
def put(media: Path) -> Callable[[str, Path], Path]:
    """Copy one of the media to a path whose folders are made."""

    def copy(name: str, target: Path) -> Path:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(media / name, target)
        return target

    return copy


def write_iemocap(root: Path, put: Callable[[str, Path], Path]) -> None:
    """Two dialogues of the full release with the quirks of its annotations."""
    dialog = root / "Session1" / "dialog"
    lines = {
        "Ses01F_impro01": [
            "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]",
            "",
            "[0.5000 - 1.5000]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]",
            "C-E2:\tNeutral; Anger;\t()",
            "A-E3:\tval 3; act 2; dom  2;\t()",
            "",
            "[1.0000 - 2.0000]\tSes01F_impro01_M000\tang\t[1.5000, 4.0000, 4.5000]",
            "C-E2:\tAnger;\t()",
            "",
            "[3.0000 - 4.0000]\tSes01F_impro01_F001\txxx\t[3.0000, 3.0000, 3.0000]",
            "",
            "[3.0000 - ",
        ],
        "Ses01M_script01_1b": ["[6.0000 - 7.0000]\tSes01M_script01_1b_F012\texc\t[4.5000, 4.0000, 3.0000]"],
    }
    texts = {
        "Ses01F_impro01": [
            "Ses01F_impro01_F000 [000.5000-001.5000]: Do you have: forms?",
            "Ses01F_impro01_M000 [001.0000-002.0000]: No\x85 none.",
            "Ses01F_impro01_MXX0 [002.0000-002.2000]: Hm.",
            "M: this line has no id",
        ],
        "Ses01M_script01_1b": ["Ses01M_script01_1b_F012 [006.0000-007.0000]: Caf\xe9?"],
    }
    for name, rows in lines.items():
        folder = dialog / "EmoEvaluation"
        for sub in (folder, folder / "Categorical", dialog / "transcriptions"):
            sub.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.txt").write_text("\n".join(rows) + "\n")
        (folder / f"._{name}.txt").write_bytes(b"\0\5\x16\7")
        (folder / "Categorical" / f"{name}_e1_cat.txt").write_text("[0.1 - 0.2]\tnot this\n")
        (dialog / "transcriptions" / f"{name}.txt").write_bytes("\n".join(texts[name]).encode("cp1252", "replace"))
        put("halves.avi", dialog / "avi" / "DivX" / f"{name}.avi")
        put("tone.wav", dialog / "avi" / "DivX" / f"._{name}.avi")
        for row in rows:
            key = row.split("\t")[1] if row.startswith("[") and "\t" in row else None
            if key:
                put("tone.wav", root / "Session1" / "sentences" / "wav" / name / f"{key}.wav")
                put("clip.mp4", root / "Session1" / "sentences" / "wav" / name / f"._{key}.wav")


MELD_HEADER = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"


def write_meld(root: Path, put: Callable[[str, Path], Path]) -> None:
    """The three splits under their official names, with an absent, an unannotated and a truncated clip."""
    rows = {
        "train": [
            '1,"Oh, it\x92s you",Joey,joy,positive,0,0,8,21,"00:16:16,059","00:16:21,731"',
            '1,"No",The Interviewer,neutral,neutral,0,1,8,21,"0:16:21,940","0:16:23,442"',
            '3,"Cut off",Joey,fear,negative,125,3,8,21,"0:16:21,940","0:16:23,442"',
        ],
        "dev": ['1,"Gone",Ross,sadness,negative,110,7,4,1,"0:0:1,000","0:0:2,000"'],
        "test": ['1,"Hm",Ross,Surprise,negative,0,0,4,1,"0:0:1,000","0:0:1,064"'],
    }
    folders = {"train": "train/train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
    for split, lines in rows.items():
        (root / folders[split]).mkdir(parents=True)
        (root / f"{split}_sent_emo.csv").write_bytes(("\r\n".join([MELD_HEADER, *lines]) + "\r\n").encode())
    train = root / folders["train"]
    put("clip.mp4", train / "dia0_utt0.mp4")
    put("stereo.mp4", train / "dia0_utt1.mp4")
    clip = put("clip.mp4", train / "dia125_utt3.mp4")
    clip.write_bytes(clip.read_bytes()[:2000])
    put("clip.mp4", train / "._dia0_utt0.mp4")
    put("clip.mp4", root / folders["dev"] / "dia110_utt8.mp4")
    put("short.mp4", root / folders["test"] / "dia0_utt0.mp4")
    put("clip.mp4", root / folders["test"] / "final_videos_testdia0_utt1.mp4")


@pytest.fixture
def iemocap(tmp_path: Path, put: Callable[[str, Path], Path]) -> Path:
    """A small IEMOCAP of the test's own."""
    write_iemocap(tmp_path / "IEMOCAP_full_release", put)
    return tmp_path / "IEMOCAP_full_release"


@pytest.fixture
def meld(tmp_path: Path, put: Callable[[str, Path], Path]) -> Path:
    """A small MELD of the test's own."""
    write_meld(tmp_path / "MELD.Raw", put)
    return tmp_path / "MELD.Raw"


@pytest.fixture(scope="session")
def packed_iemocap(tmp_path_factory: pytest.TempPathFactory, put: Callable[[str, Path], Path]) -> Path:
    """The small IEMOCAP in two shards; shared: copy it before changing it."""
    folder = tmp_path_factory.mktemp("packed")
    write_iemocap(folder / "source", put)
    pack("iemocap", folder / "source", folder / "iemocap", SMALL)
    return folder / "iemocap"


@pytest.fixture(scope="session")
def packed_meld(tmp_path_factory: pytest.TempPathFactory, put: Callable[[str, Path], Path]) -> Path:
    """The small MELD; shared: copy it before changing it."""
    folder = tmp_path_factory.mktemp("packed")
    write_meld(folder / "source", put)
    pack("meld", folder / "source", folder / "meld", SMALL)
    return folder / "meld"
