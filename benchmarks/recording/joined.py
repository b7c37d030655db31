"""A corpus of generated clips, and a long recording joined from others, of which it is known who shows what when.

One speaker is seen at a time, in the middle of the picture; voice and face show one of four emotions.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from shards.synthetic.emotions import perform
from shards.synthetic.faces import backdrop, draw_head, draw_identity, speaking
from shards.synthetic.plan import generator
from shards.synthetic.speech import RATE, draw_voice, speak

EMOTIONS = ("anger", "happiness", "neutral", "sadness")
SPEAKERS = ("ann", "ben", "cat", "dan", "eve", "fay", "gus", "hal")
FPS = 10  # pictures per second, each drawn
PAUSE = 0.6  # seconds between two turns
_CANVAS, _CHUNK = (128, 96), 32  # width, height; pictures drawn at once


@dataclass(frozen=True)
class Turn:
    """What is said from `start` to `end` seconds of a recording; `clip` is the same as a file of its own, and beside it
    lies its sound alone (.wav).
    """

    start: float
    end: float
    speaker: str
    emotion: str
    clip: Path


class _File:
    """A media file that is written turn by turn: mp4 with pictures, or wav."""

    def __init__(self, path: Path) -> None:
        self._out = av.open(str(path), "w")
        self._pictures: Any = None
        if path.suffix != ".wav":
            self._pictures = self._out.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "crf": "23"})
            self._pictures.width, self._pictures.height = _CANVAS
            self._pictures.pix_fmt = "yuv420p"
        self._sound: Any = self._out.add_stream("aac" if self._pictures else "pcm_s16le", rate=RATE)
        self._sound.layout = "mono"
        self._samples = self._shown = 0

    def add(self, wave: NDArray[np.float32], pictures: NDArray[np.uint8]) -> None:
        """Mono [n] at RATE, and what is shown meanwhile; the last picture stays until the sound ends."""
        frame = av.AudioFrame.from_ndarray((wave * 32_000).astype(np.int16)[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._samples, Fraction(1, RATE)
        self._samples += len(wave)
        until = round(self._samples / RATE * FPS) if self._pictures else 0
        for number in range(self._shown, until):
            picture = pictures[min(number - self._shown, len(pictures) - 1)]
            shown = av.VideoFrame.from_ndarray(picture, format="rgb24")
            shown.pts, shown.time_base = number, Fraction(1, FPS)
            self._out.mux(self._pictures.encode(shown))
        self._shown = max(self._shown, until)
        self._out.mux(self._sound.encode(frame))

    def close(self) -> None:
        for stream in filter(None, (self._pictures, self._sound)):
            self._out.mux(stream.encode())
        self._out.close()


def write_corpus(folder: Path, count: int, seed: int = 1) -> Path:
    """`count` clips of 3 to 5 seconds as mp4, and the table that `dual-hpc pack manifest` reads.

    Each speaker is in one of train, validation and test.
    """
    rng = generator(seed, "recording", "corpus")
    with (folder / "clips.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["video", "audio", "label", "speaker", "split"])
        for number in range(count):
            speaker, emotion = SPEAKERS[number // 4 % len(SPEAKERS)], EMOTIONS[number % 4]
            name = f"{number:04d}.mp4"
            _write(folder / name, *_utterance(seed, number, speaker, emotion, float(rng.uniform(3, 5))))
            split = {"ann": "validation", "hal": "test"}.get(speaker, "train")
            table.writerow([name, name, emotion, speaker, split])
    return folder / "clips.csv"


def write_recording(folder: Path, seconds: float, seed: int = 2) -> list[Turn]:
    """talk.mp4, talk.wav and talk.rttm of about so many seconds, and each turn in clips/."""
    rng = generator(seed, "recording", "talk")
    (folder / "clips").mkdir()
    files, at = [_File(folder / "talk.mp4"), _File(folder / "talk.wav")], 0.0
    turns: list[Turn] = []
    while at < seconds:
        number = len(turns)
        speaker, emotion = SPEAKERS[int(rng.integers(len(SPEAKERS)))], EMOTIONS[int(rng.integers(4))]
        wave, pictures = _utterance(seed, number, speaker, emotion, float(rng.uniform(4, 9)))
        clip = folder / "clips" / f"{number:04d}.mp4"
        for file in (clip, clip.with_suffix(".wav")):
            _write(file, wave, pictures)
        turns.append(Turn(round(at, 3), round(at + len(wave) / RATE, 3), speaker, emotion, clip))
        wave = np.concatenate([wave, 0.0015 * rng.standard_normal(round(PAUSE * RATE))]).astype(np.float32)
        for joined in files:
            joined.add(wave, pictures)
        at += len(wave) / RATE
    for joined in files:
        joined.close()
    rttm = [f"SPEAKER talk 1 {t.start:.3f} {t.end - t.start:.3f} <NA> <NA> {t.speaker} <NA> <NA>\n" for t in turns]
    (folder / "talk.rttm").write_text("".join(rttm))
    return turns


def _write(path: Path, wave: NDArray[np.float32], pictures: NDArray[np.uint8]) -> None:
    file = _File(path)
    file.add(wave, pictures)
    file.close()


def _utterance(
    seed: int, number: int, speaker: str, emotion: str, seconds: float
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Mono sound at RATE and pictures at FPS."""
    female = SPEAKERS.index(speaker) % 2 == 0
    performance = perform(generator(seed, number, "course"), emotion, round(seconds, 2))
    voice = draw_voice(generator(0, speaker, "voice"), female)
    wave = speak(generator(seed, number, "speech"), voice, performance)
    return wave, np.concatenate(list(_drawn(seed, number, speaker, female, performance)))


def _drawn(seed: int, number: int, speaker: str, female: bool, performance: Any) -> Iterator[NDArray[np.uint8]]:
    look = draw_identity(generator(0, speaker, "face"), female)
    moments = (np.arange(max(1, round(performance.duration * FPS))) + 0.5) / FPS
    pose = speaking(generator(seed, number, "face"), performance, moments)
    wall = backdrop(_CANVAS[1], _CANVAS[0], look)
    for start in range(0, len(moments), _CHUNK):
        part = slice(start, min(start + _CHUNK, len(moments)))
        canvas = np.repeat(wall[None], part.stop - start, axis=0)
        draw_head(canvas, look, pose.cut(part), (_CANVAS[0] / 2, 46.0), 34.0)
        yield np.clip(canvas, 0, 255).astype(np.uint8)
