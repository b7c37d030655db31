"""Proves a folder of shards: every byte is hashed, every sample decoded; damage is located to shard and sample."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import soundfile

from dual_hpc.data.index import IndexedSample, Shard, ShardIndex, dataset_id, read_index
from dual_hpc.data.sample import AUDIO, AUDIO_RATE, FEATURES, META, TEXT, VIDEO
from shards.plan import Skip

_HALF_PICTURE = 0.5
_BLOCK = 1 << 20


def verify(folder: Path, tick: Callable[[int], None] = lambda count: None) -> list[Skip]:
    """Everything that is wrong with the shards: (shard or shard/key, what); empty when all is well.

    Args:
        tick: called with 1 after each sample.

    Raises:
        UserError: the folder is no data set.
    """
    index = read_index(folder)
    faults: list[Skip] = []
    if index.dataset_id != dataset_id(index.shards):
        faults.append(Skip("index.json", "the data set's id is not that of its shards"))
    faults += _strangers(folder, index)
    for shard in index.shards:
        faults += _shard_faults(folder, shard, tick)
    return faults


def _strangers(folder: Path, index: ShardIndex) -> list[Skip]:
    known = {shard.name for shard in index.shards}
    return [Skip(p.name, "is not in the index") for p in sorted(folder.glob("*.tar")) if p.name not in known]


def _shard_faults(folder: Path, shard: Shard, tick: Callable[[int], None]) -> list[Skip]:
    path = folder / shard.name
    if Path(shard.name).name != shard.name or not path.is_file():
        return [Skip(shard.name, "is missing")]
    faults: list[Skip] = []
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
        if file.tell() != shard.bytes:
            faults.append(Skip(shard.name, f"has {file.tell()} bytes instead of {shard.bytes}"))
        if digest.hexdigest() != shard.sha256:
            faults.append(Skip(shard.name, "its sha256 is not the recorded one"))
            if (fault := _tar_fault(path, shard)) is not None:
                faults.append(Skip(shard.name, fault))
        for sample in shard.samples:
            faults += [Skip(f"{shard.name}/{sample.meta.key}", fault) for fault in _sample_faults(file, sample)]
            tick(1)
    return faults


def _tar_fault(path: Path, shard: Shard) -> str | None:
    """Damage to the tar's own headers; checked only where the hash has failed."""
    names = [f"{sample.meta.key}.{extension}" for sample in shard.samples for extension in sample.members]
    try:
        with tarfile.open(path) as tar:
            return None if sorted(tar.getnames()) == sorted(names) else "the tar's members are not those of the index"
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        return f"is no tar ({error})"


def _sample_faults(file: io.BufferedReader, sample: IndexedSample) -> list[str]:
    faults = []
    for extension, (offset, size) in sample.members.items():
        file.seek(offset)
        data = file.read(size)
        try:
            if len(data) < size:
                raise ValueError("is cut off")
            _CHECKS[extension](data, sample)
            # Decoders conceal most damage to pictures, and a changed letter is a letter.
            if zlib.crc32(data) != sample.crc32.get(extension, zlib.crc32(data)):
                raise ValueError("decodes, but not to what was packed")
        except KeyError:
            faults.append(f".{extension} is no member of a sample")
        # The decoders raise these for damage, and nothing else may end the examination of the rest.
        except (ValueError, RuntimeError, OSError, EOFError, ArithmeticError) as error:
            faults.append(f".{extension} {' '.join(str(error).split())[:120]}")
    return faults


def _check_meta(data: bytes, sample: IndexedSample) -> None:
    if json.loads(data) != json.loads(sample.meta.model_dump_json(exclude_none=True)):
        raise ValueError("differs from the index")


def _check_audio(data: bytes, sample: IndexedSample) -> None:
    wave, rate = soundfile.read(io.BytesIO(data), dtype="int16")
    if rate != AUDIO_RATE or wave.ndim != 1 or not 0 < wave.size <= round(sample.meta.duration * AUDIO_RATE) + 1:
        raise ValueError(f"holds {wave.shape} samples at {rate} Hz")


def _check_video(data: bytes, sample: IndexedSample) -> None:
    with av.open(io.BytesIO(data), "r", format="mp4") as container:
        stream = container.streams.video[0]
        count = sum(1 for _ in container.decode(stream))
        if count == 0 or count != stream.frames:
            raise ValueError(f"decodes to {count} of {stream.frames} pictures")
    seconds = count / (sample.meta.fps or 1.0)
    if seconds > sample.meta.duration + _HALF_PICTURE / (sample.meta.fps or 1.0):
        raise ValueError(f"lasts {seconds:.3f} s, the sample {sample.meta.duration:.3f} s")


def _check_features(data: bytes, sample: IndexedSample) -> None:
    array = np.load(io.BytesIO(data), allow_pickle=False)
    if array.ndim != 2 or not array.size or not np.isfinite(array).all():
        raise ValueError(f"holds an array {array.shape} that is empty, not [T, D], or not finite")


def _check_text(data: bytes, sample: IndexedSample) -> None:
    data.decode("utf-8")


_CHECKS: dict[str, Callable[[bytes, IndexedSample], None]] = {
    META: _check_meta,
    AUDIO: _check_audio,
    VIDEO: _check_video,
    TEXT: _check_text,
    **{f"{name}{FEATURES}": _check_features for name in ("audio", "video", "text")},
}
