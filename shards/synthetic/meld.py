"""Writes a synthetic MELD: MELD.Raw's names, the short layout {train,dev,test}, or that with sound kept apart."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shards.synthetic import litter, media
from shards.synthetic.faces import backdrop, draw_head, draw_identity, listening, speaking
from shards.synthetic.meld_plan import SENTIMENT, SPEAKERS, TOTAL, WRONG_CUT, Row
from shards.synthetic.plan import TINY_SECONDS, generator
from shards.synthetic.speech import RATE, draw_voice, speak

FPS = Fraction(24_000, 1001)
SIZE = (1280, 720)
CANVAS = (160, 90)  # an eighth of SIZE
CHUNK = 16  # pictures drawn at once
OFFICIAL = {"train": "train/train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
COLUMNS = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"


def clip_folder(root: Path, split: str, short: bool) -> Path:
    """Where a split's clips lie."""
    return root / (split if short else OFFICIAL[split])


def csv_path(root: Path, split: str, short: bool) -> Path:
    """A split's annotation, next to its clips' folder."""
    folder = root / "train" if split == "train" and not short else root
    return folder / f"{split}_sent_emo.csv"


def write_clip(root: Path, short: bool, row: Row, seed: int, tiny: Path | None, apart: bool = False) -> None:
    """One row's clip with its defect.

    Args:
        tiny: folder of `write_tiny_media`, whose files are linked instead of making media.
        apart: pictures in the folder `video` of the split, sound (48 kHz, 16 bit) in `audio`.
    """
    name = f"dia{row.dialogue}_utt{row.utterance}"
    path = clip_folder(root, row.split, short) / ("video" if apart else ".") / f"{name}.mp4"
    wav = path.parent.parent / "audio" / f"{name}.wav"
    for folder in (path.parent, wav.parent) if apart else (path.parent,):
        folder.mkdir(parents=True, exist_ok=True)
    quirk = row.planned.quirk
    if quirk == "absent":
        return
    if tiny:
        kind = "silent" if apart else "stereo" if row.stereo else "5.1"
        source = tiny / f"{row.planned.duration}.{kind}.mp4"
        if quirk == "unreadable":
            shutil.copyfile(source, path)
        else:
            litter.link(source, path)
        if apart:
            litter.link(tiny / f"{row.planned.duration}.wav", wav)
    else:
        sound = _sound(row, seed)
        media.write_mp4(path, _pictures(row, seed), SIZE, FPS, None if apart else sound)
        if apart:
            media.write_wav(wav, sound.T, media.AAC_RATE)
    if quirk == "unreadable":
        litter.truncate(path)


def write_tiny_media(folder: Path) -> None:
    """The few clips that serve as all media of a tiny corpus."""
    rng = np.random.default_rng(0)
    for seconds in (*TINY_SECONDS, 0.064):
        for name, channels in (("stereo", 2), ("5.1", 6)):
            sound = 0.01 * rng.standard_normal((channels, round(seconds * media.AAC_RATE))).astype(np.float32)
            picture = np.full((1, 18, 32, 3), 80, np.uint8)
            pictures = [picture] * len(media.drawing_times(seconds, FPS))
            media.write_mp4(folder / f"{seconds}.{name}.mp4", pictures, (128, 72), FPS, sound)
        media.write_mp4(folder / f"{seconds}.silent.mp4", pictures, (128, 72), FPS, None)
        media.write_wav(folder / f"{seconds}.wav", sound[:2].T, media.AAC_RATE)


def write_annotations(root: Path, short: bool, rows: list[Row], quirks: bool, encoded_twice: bool) -> None:
    """The three CSVs: UTF-8 with CRLF, one-digit hours in a quarter of the rows, repeated `Sr No.` if `quirks`.

    Args:
        encoded_twice: as older copies are, with the cp1252 characters for quotes and dashes as U+0080-U+009F.
    """
    for split in OFFICIAL:
        path = csv_path(root, split, short)
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\r\n")
            writer.writerow(COLUMNS.split(","))
            clock, number = 0.0, 0
            for row in rows:
                if row.split == split:
                    number += 0 if quirks and row.utterance == 1 and row.dialogue % 4 == 1 else 1
                    writer.writerow(_fields(row, number, clock, quirks, encoded_twice))
                    clock = (clock + row.planned.duration + 1.7) % 5000


def write_litter(root: Path, short: bool, rows: list[Row]) -> None:
    """Clips without a row, the twins `final_videos_test...` of some test rows, `._` files by some clips and every CSV.

    The synthetic twins are other rows' clips.
    """
    twins = {"dev": 0, "test": 132 if len(rows) >= TOTAL else 4}
    extra = {"dev": 4, "test": 5 if len(rows) >= TOTAL else 1}
    for split, count in extra.items():
        folder = clip_folder(root, split, short)
        readable = [f"dia{r.dialogue}_utt{r.utterance}" for r in rows if r.split == split and not r.planned.quirk]
        for k in range(count if readable else 0):
            shutil.copyfile(folder / f"{readable[0]}.mp4", folder / f"dia{9000 + k}_utt0.mp4")
        for k in range(min(twins[split], len(readable) - 1)):
            shutil.copyfile(folder / f"{readable[k + 1]}.mp4", folder / f"final_videos_test{readable[k]}.mp4")
    for split in OFFICIAL:
        for clip in sorted(clip_folder(root, split, short).glob("dia*_utt*.mp4"))[:6]:
            litter.apple_double(clip)
        litter.apple_double(csv_path(root, split, short))


def _fields(row: Row, number: int, clock: float, quirks: bool, encoded_twice: bool) -> list[object]:
    text, label = row.planned.text, row.planned.label
    if encoded_twice:
        text = text.encode("cp1252").decode("latin-1")
    one_digit = quirks and (row.dialogue + row.utterance) % 4 == 0
    spoken = WRONG_CUT if row.planned.duration > WRONG_CUT * 2 else row.planned.duration
    times = [_stamp(seconds, one_digit) for seconds in (clock, clock + spoken)]
    sentiment = SENTIMENT.get(label, "negative")
    place = [row.dialogue, row.utterance, row.season, row.episode]
    return [number, text, row.planned.speaker, label, sentiment, *place, *times]


def _stamp(seconds: float, one_digit: bool) -> str:
    millis = round(seconds * 1000)
    hours = str(millis // 3_600_000) if one_digit else f"{millis // 3_600_000:02d}"
    return f"{hours}:{millis // 60_000 % 60:02d}:{millis // 1000 % 60:02d},{millis % 1000:03d}"


def _sound(row: Row, seed: int) -> NDArray[np.float32]:
    """[2, n] or [6, n] at 48 kHz: speech in the centre, a noisy room and a murmur of others around it."""
    female = SPEAKERS.index(row.planned.speaker) % 2 == 0
    voice = draw_voice(generator(seed, "meld", row.planned.speaker, "voice"), female)
    rng = generator(seed, row.planned.id, "speech")
    speech = media.to_aac_rate(speak(rng, voice, row.planned.performance), RATE)
    room = 0.004 * rng.standard_normal((2 if row.stereo else 6, len(speech)))
    if row.stereo:
        return np.clip(speech + room, -0.99, 0.99).astype(np.float32)
    room *= np.array([3.0, 3.0, 1.0, 0.3, 4.0, 4.0])[:, None]
    room[2] += speech
    room[:2] += 0.15 * speech
    return np.clip(room, -0.99, 0.99).astype(np.float32)


def _pictures(row: Row, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Chunks [pictures, 90, 160, 3]: the speaker, a listener in the background, in a fifth of the clips a cut."""
    seconds = media.drawing_times(row.planned.duration, FPS)
    frames = len(seconds)
    rng = generator(seed, row.planned.id, "face")
    names = [row.planned.speaker, SPEAKERS[(SPEAKERS.index(row.planned.speaker) + 3) % len(SPEAKERS)]]
    looks = [draw_identity(generator(seed, "meld", n, "face"), SPEAKERS.index(n) % 2 == 0) for n in names]
    speaker, other = speaking(rng, row.planned.performance, seconds), listening(rng, seconds)
    cut = int(frames * rng.uniform(0.3, 0.7)) if rng.random() < 0.2 else frames
    side = 1 if rng.random() < 0.5 else -1
    wall = backdrop(CANVAS[1], CANVAS[0], looks[int(rng.integers(2))])
    for start in range(0, frames, CHUNK):
        chunk = slice(start, min(start + CHUNK, frames))
        canvas = np.repeat(wall[None], chunk.stop - start, axis=0)
        draw_head(canvas, looks[1], other.cut(chunk), (80.0 + 58 * side, 38.0), 17.0)
        closer = start >= cut  # a cut falls on a chunk's first frame
        draw_head(canvas, looks[0], speaker.cut(chunk), (80.0 - 10 * side * closer, 46.0), 40.0 if closer else 36.0)
        yield np.clip(canvas, 0, 255).astype(np.uint8)
