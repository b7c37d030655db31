"""Raw clips as other programs write them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

FPS = 25


def write_clip(
    path: Path, seconds: float, *, audio: bool = True, video: bool = True, rate: int = 44_100, size: Any = (96, 64)
) -> Path:
    """A tone that rises and a bar that wanders."""
    with av.open(str(path), "w") as container:
        pictures = sound = None  # every stream is added before the first packet is written
        if video:
            pictures = container.add_stream("libx264" if path.suffix == ".mp4" else "mpeg4", rate=FPS)
            pictures.width, pictures.height, pictures.pix_fmt = *size, "yuv420p"
        if audio:
            sound = container.add_stream("pcm_s16le" if path.suffix in (".wav", ".avi") else "aac", rate=rate)
            sound.layout = "stereo"
        for k in range(round(seconds * FPS) if pictures else 0):
            picture = np.full((size[1], size[0], 3), 40, np.uint8)
            picture[:, (2 * k) % (size[0] - 8) :][:, :8] = (220, 60, 30)
            container.mux(pictures.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        t = np.arange(round(seconds * rate)) / rate
        wave = (8000 * np.sin(2 * np.pi * (150 + 60 * t) * t)).astype(np.int16)
        for start in range(0, len(wave) if sound else 0, 1024):
            part = np.repeat(wave[start : start + 1024], 2)[None]
            frame = av.AudioFrame.from_ndarray(part, format="s16", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            container.mux(sound.encode(frame))
        for stream in filter(None, (pictures, sound)):
            container.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """both.mp4, silent.mp4, sound.wav, old.avi, long.mp4, cut.mp4, notes.txt, empty.mp4 and a hidden file."""
    folder = tmp_path_factory.mktemp("clips")
    write_clip(folder / "both.mp4", 1.2)
    write_clip(folder / "silent.mp4", 1.0, audio=False)
    write_clip(folder / "sound.wav", 0.8, video=False)
    write_clip(folder / "old.avi", 1.0)
    write_clip(folder / "long.mp4", 5.0)
    whole = (folder / "both.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.txt").write_text("this is no media\n" * 50)
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "._both.mp4").write_bytes(b"\x00\x05\x16\x07")
    return folder
