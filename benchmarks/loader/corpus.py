"""The same clips in every form that a contestant reads: shards with an index, loose files, Streaming's own format."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import soundfile

from dual_hpc.data.format.index import IndexedSample, Shard, ShardIndex, dataset_id, write_index
from dual_hpc.data.format.members import AUDIO_RATE, FEATURES
from dual_hpc.data.format.sample import Utterance

FPS = 25
PICTURE = (256, 192)
PER_SHARD = 64


def media(count: int) -> Iterator[tuple[float, dict[str, bytes]]]:
    """Clips of 1 to 7 s (log-normal around 3 s): noise that moves, H.264 with a key frame per second, and speech-like
    bands of noise."""
    rng = np.random.default_rng(0)
    scene = rng.integers(0, 256, (PICTURE[1] // 8, PICTURE[0] // 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    for number in range(count):
        duration = float(np.clip(rng.lognormal(1.1, 0.5), 1, 7).round(2))
        wave = io.BytesIO()
        noise = np.convolve(rng.standard_normal(int(duration * AUDIO_RATE)), np.ones(8) / 16, "same")
        soundfile.write(wave, noise.astype(np.float32).clip(-1, 1), AUDIO_RATE, format="FLAC")
        film = io.BytesIO()
        with av.open(film, "w", format="mp4") as container:
            stream = container.add_stream("libx264", rate=FPS)
            stream.width, stream.height, stream.pix_fmt = *PICTURE, "yuv420p"
            stream.options = {"g": str(FPS), "preset": "veryfast", "crf": "23", "bf": "0"}
            for k in range(round(duration * FPS)):
                picture = np.roll(scene, (2 * k + number, k), (1, 0))
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
        yield duration, {"flac": wave.getvalue(), "mp4": film.getvalue(), "txt": b"what was said in this clip"}


def features(count: int) -> Iterator[tuple[float, dict[str, bytes]]]:
    """Outputs of frozen encoders, half precision: sound at 50 Hz, pictures at 5 Hz, 12 tokens, 256 wide."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        duration = float(np.clip(rng.lognormal(1.1, 0.5), 1, 7).round(2))
        members = {}
        for name, length in (("audio", duration * 50), ("video", duration * 5), ("text", 12)):
            buffer = io.BytesIO()
            np.save(buffer, rng.standard_normal((int(length), 256)).astype(np.float16))
            members[f"{name}.npy"] = buffer.getvalue()
        yield duration, members


def write(folder: Path, kind: str, count: int, streaming: bool) -> None:
    """All forms below `folder`: shards/, files/ and, if asked for, mds/."""
    clips = list(media(count) if kind == "media" else features(count))
    _write_shards(folder / "shards", kind, clips)
    (folder / "files").mkdir(parents=True)
    durations = {}
    for number, (duration, members) in enumerate(clips):
        durations[f"c{number:06d}"] = duration
        for extension, data in members.items():
            (folder / "files" / f"c{number:06d}.{extension}").write_bytes(data)
    (folder / "durations.json").write_text(json.dumps(durations))
    arrays = {e: np.load(io.BytesIO(data)) for e, data in clips[0][1].items() if e.endswith(FEATURES)}
    layout = {e.removesuffix(FEATURES): (array.shape[1], array.dtype.str) for e, array in arrays.items()}
    (folder / "layout.json").write_text(json.dumps(layout))
    if streaming:
        from benchmarks.loader.peers import streaming_module

        columns = {extension.replace(".", "_"): "bytes" for extension in clips[0][1]} | {"duration": "float64"}
        with streaming_module().MDSWriter(out=str(folder / "mds"), columns=columns, compression=None) as writer:
            for duration, members in clips:
                writer.write({e.replace(".", "_"): data for e, data in members.items()} | {"duration": duration})


def _write_shards(folder: Path, kind: str, clips: list[tuple[float, dict[str, bytes]]]) -> None:
    folder.mkdir(parents=True)
    shards = []
    for first in range(0, len(clips), PER_SHARD):
        path, samples = folder / f"bench-{first // PER_SHARD:05d}.tar", []
        with tarfile.open(path, "w") as tar:
            for number, (duration, members) in enumerate(clips[first : first + PER_SHARD], first):
                meta = Utterance(
                    key=f"c{number:06d}", corpus="bench", dialogue="d", utterance=number, speaker="s", duration=duration
                )
                sums = {extension: zlib.crc32(data) for extension, data in members.items()}
                samples.append((meta, sums))
                for extension, data in {"json": json.dumps({"duration": duration}).encode(), **members}.items():
                    info = tarfile.TarInfo(f"{meta.key}.{extension}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
        where: dict[str, dict[str, tuple[int, int]]] = {}
        with tarfile.open(path) as tar:
            for member in tar.getmembers():
                key, _, extension = member.name.partition(".")
                where.setdefault(key, {})[extension] = (member.offset_data, member.size)
        content = path.read_bytes()
        shards.append(
            Shard(
                name=path.name,
                bytes=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
                samples=[IndexedSample(meta=meta, members=where[meta.key], crc32=sums) for meta, sums in samples],
            )
        )
    write_index(folder, ShardIndex(dataset_id=dataset_id(shards), corpus="bench", kind=kind, options={}, shards=shards))
