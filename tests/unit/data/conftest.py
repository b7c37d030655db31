"""Small shards of real media, written here byte by byte and not by the packer: the loader must read any plain tar."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import signal
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from dual_hpc.config.schema import AugmentConfig, DataConfig
from dual_hpc.data.format.index import IndexedSample, Shard, ShardIndex, dataset_id, write_index
from dual_hpc.data.format.sample import AUDIO_RATE, Utterance

FPS = 25

# Stands before the real PyAV in the workers' path: some damaged files make a decoder crash or spin, and which do
# depends on its version. Everything else is opened as ever.
DANGEROUS_AV = """
import ctypes, importlib, os, sys, time
from pathlib import Path
sys.path.remove(str(Path(__file__).parent))
del sys.modules["av"]
av = importlib.import_module("av")
really_open = av.open
def dangerous_open(file, *words, **options):
    data = file.getvalue()
    if data == b"CRASH":
        ctypes.string_at(0)
    if data == b"HANG":
        time.sleep(1000)
    if data.endswith(b"SLOW"):
        time.sleep(2)
    return really_open(file, *words, **options)
av.open = dangerous_open
open_file = os.open
def silent_open(path, *words, **options):
    if os.path.exists(os.fsdecode(path) + ".silent"):
        time.sleep(1000)
    return open_file(path, *words, **options)
os.open = silent_open
"""


def settings(**changes: Any) -> DataConfig:
    """Small pictures, small batches, no workers."""
    small: dict[str, Any] = dict(
        max_seconds=2.0,
        video_hz=5.0,
        image_size=32,
        max_tokens=16,
        global_batch=4,
        micro_batch=2,
        workers=0,
        shuffle_window=2,
        bad_sample_limit=0,
    )
    return DataConfig(**(small | changes))


def augment_all(**changes: Any) -> AugmentConfig:
    """Every change likely."""
    often = {name: 0.3 for name in ("frame_drop_prob", "token_drop_prob", "drop_audio", "drop_video", "drop_text")}
    return AugmentConfig(**({"noise_prob": 0.5, "time_mask_prob": 0.5} | often | changes))


@dataclass
class Clip:
    """A sample to write; None leaves the member out."""

    duration: float = 1.0
    flac: bytes | None = None
    mp4: bytes | None = None
    text: str | None = "so it goes"
    npy: dict[str, np.ndarray] = field(default_factory=dict)


def flac_of(duration: float, seed: int = 0) -> bytes:
    wave = np.random.default_rng(seed).uniform(-0.5, 0.5, int(duration * AUDIO_RATE)).astype(np.float32)
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, AUDIO_RATE, format="FLAC")
    return buffer.getvalue()


def mp4_of(duration: float, size: tuple[int, int] = (64, 48)) -> bytes:
    """H.264 at 25 pictures per second; picture k is of one grey level, 5 k mod 250."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.options = {"g": str(FPS), "preset": "ultrafast", "crf": "10", "bf": "0"}
        for k in range(max(1, round(duration * FPS))):
            picture = np.full((size[1], size[0], 3), (5 * k) % 250, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def write_shards(folder: Path, shards: list[list[Clip]], kind: str = "media", sums: bool = False) -> Path:
    """A folder of tars and its index, with the members' CRC-32 if `sums`; sample keys are s<shard>_<place>."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for number, clips in enumerate(shards):
        path = folder / f"shard-{number:05d}.tar"
        samples = []
        with tarfile.open(path, "w") as tar:
            places: list[tuple[Utterance, dict[str, bytes]]] = []
            for place, clip in enumerate(clips):
                meta = Utterance(
                    key=f"s{number:03d}_{place:03d}",
                    corpus="test",
                    dialogue=f"d{number}",
                    utterance=place,
                    speaker="x",
                    label="neu",
                    duration=clip.duration,
                    has_audio=clip.flac is not None,
                    has_video=clip.mp4 is not None,
                    has_text=clip.text is not None,
                )
                members = {"json": json.dumps({"key": meta.key}).encode()}
                if clip.flac is not None:
                    members["flac"] = clip.flac
                if clip.mp4 is not None:
                    members["mp4"] = clip.mp4
                if clip.text is not None:
                    members["txt"] = clip.text.encode()
                for name, array in clip.npy.items():
                    buffer = io.BytesIO()
                    np.save(buffer, array)
                    members[f"{name}.npy"] = buffer.getvalue()
                for extension, data in members.items():
                    info = tarfile.TarInfo(f"{meta.key}.{extension}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
                places.append((meta, members))
        with tarfile.open(path) as tar:
            where = {member.name: (member.offset_data, member.size) for member in tar.getmembers()}
        samples = [
            IndexedSample(
                meta=meta,
                members={e: where[f"{meta.key}.{e}"] for e in members},
                crc32={e: zlib.crc32(data) for e, data in members.items()} if sums else {},
            )
            for meta, members in places
        ]
        data = path.read_bytes()
        written.append(Shard(name=path.name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), samples=samples))
    write_index(
        folder,
        ShardIndex(dataset_id=dataset_id(written), corpus="test", kind=kind, options={}, shards=written),
    )
    return folder


@pytest.fixture(scope="session")
def media() -> Callable[[float], Clip]:
    """Clips of real media by duration, encoded once."""
    made: dict[float, Clip] = {}

    def clip(duration: float = 0.6) -> Clip:
        if duration not in made:
            made[duration] = Clip(duration, flac_of(duration, int(duration * 100)), mp4_of(duration))
        return made[duration]

    return clip


@pytest.fixture
def folder(tmp_path: Path, media: Callable[[float], Clip]) -> Path:
    """Five shards, 13 samples, 0.2 to 1.4 s."""
    counts = [3, 4, 1, 2, 3]
    durations = iter([0.2 + 0.1 * i for i in range(13)])
    return write_shards(tmp_path / "shards", [[media(round(next(durations), 1)) for _ in range(n)] for n in counts])


@pytest.fixture
def dangerous(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers decode with `DANGEROUS_AV`."""
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "av.py").write_text(DANGEROUS_AV)
    monkeypatch.syspath_prepend(str(tmp_path / "path"))


def kill(pid: int) -> None:
    """End a worker by force, which may be dead of an earlier time and not replaced yet."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
