"""Verifies a folder of shards: every byte is hashed, every sample decoded; damage is located to shard and sample."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from tarfile import BLOCKSIZE

import av
import numpy as np
import soundfile

from dual_hpc.config.schema import DataConfig
from dual_hpc.data.decoding.decode import DecodeError, decode_pictures
from dual_hpc.data.decoding.decoder_counts import DecoderCounts, count
from dual_hpc.data.format.index import INDEX_NAME, IndexedSample, Shard, ShardIndex, dataset_id, read_index
from dual_hpc.data.format.sample import AUDIO, AUDIO_RATE, FEATURES, META, TEXT, VIDEO
from dual_hpc.errors import UserError, one_line
from dual_hpc.files.json_text import parse_json
from shards.layout import extraction_fingerprint
from shards.plan import Skip
from shards.report import JSON_NAME, read_report
from shards.writer import header

_HALF_PICTURE = 0.5
_BLOCK = 1 << 20


def verify(
    folder: Path, tick: Callable[[int], None] = lambda count: None, decoders: DecoderCounts | None = None
) -> list[Skip]:
    """Everything that is wrong with the shards: (shard or shard/key, what); empty when all is well.

    Args:
        tick: called with 1 after each sample.
        decoders: counts which of training's decoders reads each sound video, at training's default size.

    Raises:
        UserError: the folder is not a data set.
    """
    index = read_index(folder)
    faults = [*_index_faults(folder, index), *_report_faults(folder), *_strangers(folder, index)]
    for shard in index.shards:
        faults += _shard_faults(folder, shard, tick, decoders)
    return faults


def _index_faults(folder: Path, index: ShardIndex) -> list[Skip]:
    faults = []
    if index.dataset_id != dataset_id(index.shards):
        faults.append("the data set's id is not that of its shards")
    if any(sample.meta.corpus != index.corpus for shard in index.shards for sample in shard.samples):
        faults.append("its corpus is not that of every sample")
    if not _options_stand(folder, index):
        faults.append("its options are not those of the packing")
    return [Skip(INDEX_NAME, fault) for fault in faults]


def _options_stand(folder: Path, index: ShardIndex) -> bool:
    """Features' options are hashed into their fingerprint; those of media are in the report as well."""
    if index.kind == "features":
        return index.options.get("fingerprint") == extraction_fingerprint(index.options)
    try:
        return not (folder / JSON_NAME).exists() or read_report(folder).options == index.options
    except UserError:
        return True  # the report is the damaged one


def _report_faults(folder: Path) -> list[Skip]:
    try:
        if (folder / JSON_NAME).exists():
            read_report(folder)
    except UserError:
        return [Skip(JSON_NAME, "was changed")]
    return []


def _strangers(folder: Path, index: ShardIndex) -> list[Skip]:
    known = {shard.name for shard in index.shards}
    return [Skip(p.name, "is not in the index") for p in sorted(folder.glob("*.tar")) if p.name not in known]


def _shard_faults(
    folder: Path, shard: Shard, tick: Callable[[int], None], decoders: DecoderCounts | None
) -> list[Skip]:
    path = folder / shard.name
    if Path(shard.name).name != shard.name or not path.is_file():
        return [Skip(shard.name, "is missing")]
    faults: list[Skip] = []
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != shard.bytes:
                faults.append(Skip(shard.name, f"has {size} bytes instead of {shard.bytes}"))
            # A file of another size is another file, and may be a terabyte of nothing: it is not hashed.
            if (damaged := size != shard.bytes or _digest(file) != shard.sha256) and size == shard.bytes:
                faults.append(Skip(shard.name, "its sha256 is not the recorded one"))
            for sample in shard.samples:
                where = f"{shard.name}/{sample.meta.key}"
                found = _sample_faults(file, size, sample, damaged)
                # A decoder may end the process at a damaged video: only what is proven to be as it was packed.
                if decoders is not None and not found and VIDEO in sample.crc32:
                    try:
                        decoders.add(_decoder_of(file, sample))
                    except DecodeError as error:
                        found.append(f".{VIDEO} {error}")
                faults += [Skip(where, fault) for fault in found]
                tick(1)
    except OSError as error:
        faults.append(Skip(shard.name, f"cannot be read: {error.strerror or error}"))
    return faults


def _decoder_of(file: io.BufferedReader, sample: IndexedSample) -> dict[str, int]:
    offset, length = sample.members[VIDEO]
    file.seek(offset)
    defaults = DataConfig()
    return count(
        [decode_pictures(file.read(length), sample.meta.duration, defaults.video_hz, 1.0, defaults.image_size)[1]]
    )


def _digest(file: io.BufferedReader) -> str | None:
    """sha256 of a file; None where the disk fails, which the reading of the samples then locates."""
    digest = hashlib.sha256()
    try:
        while block := file.read(_BLOCK):
            digest.update(block)
    except OSError:
        return None
    return digest.hexdigest()


def _sample_faults(file: io.BufferedReader, size: int, sample: IndexedSample, damaged: bool) -> list[str]:
    faults = []
    if sample.crc32 and sample.crc32.keys() != sample.members.keys():
        faults.append(f"its CRC-32 in {INDEX_NAME} are not those of its members")
    for extension in sample.members:
        try:
            _check_member(file, size, sample, extension, damaged)
        # Decoders have errors of their own for damage, and none may end the examination of the rest.
        except Exception as error:
            faults.append(f".{extension} {one_line(error, 120) or type(error).__name__}")
    return faults


def _check_member(file: io.BufferedReader, size: int, sample: IndexedSample, extension: str, damaged: bool) -> None:
    """Raise if a member is not what was packed; its surroundings in the tar are looked at in a damaged shard only."""
    offset, length = sample.members[extension]
    check = _CHECKS.get(extension)
    if check is None:
        raise ValueError("is not a member of a sample")
    if offset + length > size:
        raise ValueError("is cut off")
    file.seek(offset)
    data = file.read(length)
    # Before any decoder: they conceal most damage, or take what a damaged header says for granted.
    if zlib.crc32(data) != sample.crc32.get(extension, zlib.crc32(data)):
        raise ValueError("is not what was packed: its CRC-32 differs")
    check(data, sample)
    if damaged:
        before, padding = header(sample.meta.key, extension, length), -length % BLOCKSIZE
        if any(file.read(padding)):
            raise ValueError("is intact, but the padding after it is not")
        file.seek(max(0, offset - len(before)))
        if file.read(len(before)) != before:
            raise ValueError("is intact, but its header in the tar is not")


def _check_meta(data: bytes, sample: IndexedSample) -> None:
    if parse_json(data) != json.loads(sample.meta.model_dump_json(exclude_none=True)):
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
