"""The same clips in every form that a contestant reads: shards with an index, loose files, Streaming's own format."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Callable, Collection, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile

from dual_hpc.data.format.index import IndexedSample, Shard, ShardIndex, dataset_id, write_index
from dual_hpc.data.format.members import AUDIO_RATE, FEATURES
from dual_hpc.data.format.sample import Utterance
from dual_hpc.data.preparation.encode import Picture, encode_mp4
from tests.media.every_picture_reference import encode_references
from tests.media.scenes import KINDS

FPS = 25
PICTURE = (256, 192)
PER_SHARD = 64


def moving_noise(rng: np.random.Generator, number: int, count: int) -> Iterator[Picture]:
    """Blocks of noise that move."""
    scene = rng.integers(0, 256, (PICTURE[1] // 8, PICTURE[0] // 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    yield from (np.roll(scene, (2 * k + number, k), (1, 0)) for k in range(count))


def face(rng: np.random.Generator, number: int, count: int) -> Iterator[Picture]:
    """A head that speaks, with the noise of a camera: much like a crop of a face."""
    drawn = KINDS["head"](rng, np.arange(count) / FPS, 224, 224)
    yield from ((one + rng.normal(0, 2, one.shape)).clip(0, 255).astype(np.uint8) for one in drawn)


PICTURES: dict[str, tuple[Callable[[np.random.Generator, int, int], Iterator[Picture]], tuple[int, int]]] = {
    "media": (moving_noise, PICTURE),
    "faces": (face, (224, 224)),
}  # kind -> what draws a clip (random numbers, its number, how many pictures), and the pictures' width and height


def media(count: int, kind: str, coding: str) -> Iterator[tuple[float, dict[str, bytes]]]:
    """Clips of 1 to 7 s (log-normal around 3 s): pictures of a kind, and speech-like bands of noise.

    Args:
        kind: "media" (moving noise) or "faces".
        coding: "grid", as packing codes videos, or "earlier", as it did and as others do.
    """
    draw, size = PICTURES[kind]
    for number in range(count):
        rng = np.random.default_rng(number)
        duration = float(np.clip(rng.lognormal(1.1, 0.5), 1, 7).round(2))
        wave = io.BytesIO()
        noise = np.convolve(rng.standard_normal(int(duration * AUDIO_RATE)), np.ones(8) / 16, "same")
        soundfile.write(wave, noise.astype(np.float32).clip(-1, 1), AUDIO_RATE, format="FLAC")
        pictures = draw(rng, number, round(duration * FPS))
        if coding == "grid":
            film = encode_mp4(pictures, Fraction(FPS), size, 23)[0]
        else:
            film = encode_references(pictures, Fraction(FPS), size, 23)
        yield duration, {"flac": wave.getvalue(), "mp4": film, "txt": b"what was said in this clip"}


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


def write(folder: Path, kind: str, count: int, peers: Collection[str]) -> None:
    """All forms below `folder`, and those of ordinary videos in `earlier/`; `peers` name the forms of others to add."""
    if kind == "features":
        return _write_forms(folder, kind, list(features(count)), peers)
    _write_forms(folder, kind, list(media(count, kind, "grid")), ())
    _write_forms(folder / "earlier", kind, list(media(count, kind, "earlier")), peers)


def _write_forms(folder: Path, kind: str, clips: list[tuple[float, dict[str, bytes]]], peers: Collection[str]) -> None:
    """shards/, files/ and, if asked for, mds/ and litdata/."""
    write_shards(folder / "shards", "features" if kind == "features" else "media", clips)
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
    rows = [{e.replace(".", "_"): d for e, d in members.items()} | {"duration": time} for time, members in clips]
    if "mosaicml-streaming" in peers:
        from benchmarks.loader.peers import streaming_module

        columns = {name: "float64" if name == "duration" else "bytes" for name in rows[0]}
        with streaming_module().MDSWriter(out=str(folder / "mds"), columns=columns, compression=None) as writer:
            for row in rows:
                writer.write(row)
    if "litdata" in peers:
        from litdata.streaming.writer import BinaryWriter

        (folder / "litdata").mkdir()
        chunks = BinaryWriter(str(folder / "litdata"), chunk_bytes="64MB")
        for number, row in enumerate(rows):
            chunks[number] = row
        chunks.done()
        chunks.merge()


def write_shards(folder: Path, kind: str, clips: list[tuple[float, dict[str, bytes]]]) -> None:
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
