"""Media shards to feature shards: what frozen encoders make of every sample, once instead of every epoch.

One feature shard per media shard, in the same order, with the same metadata and transcript. Killed and started again
it continues after the last finished shard; array tasks share the shards as in packing.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import torch

from dual_hpc.config.schema import DataConfig
from dual_hpc.data.batch import Batch
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.format.index import ShardIndex, dataset_id, write_index
from dual_hpc.data.format.reader import SampleReader
from dual_hpc.data.format.sample import FEATURES, TEXT
from dual_hpc.data.loader import EvalLoader
from dual_hpc.data.preparation.record import KEY
from dual_hpc.errors import UserError
from dual_hpc.model.encoders.frozen import FrozenEncoders
from dual_hpc.model.encoders.origin import OPTION
from dual_hpc.progress import ProgressDisplay
from shards.layout import extraction_fingerprint, share
from shards.pack_state import FinishedShard, PackState, report_disk_faults
from shards.writer import Sample, ShardWriter

NO_LABEL = -100


@report_disk_faults()
def extract(
    source: Path,
    out: Path,
    encoders: FrozenEncoders,
    dtype: str = "float16",
    batch_size: int = 8,
    workers: int = 0,
    array: tuple[int, int] = (0, 1),
    progress: bool | None = None,
) -> ShardIndex | None:
    """Write feature shards of the media shards in `source`.

    Returns:
        The index; None from an array task while shards of others are missing.

    Raises:
        UserError: `source` holds no media shards or an undecodable sample, `out` holds something else, or a feature
            does not fit `dtype`.
        EnvironmentFault: the disk is full or cannot be written.
    """
    shard_set = ShardDataset([source])
    if shard_set.kind != "media":
        raise UserError(f"{source}: holds features already; give the folder of media shards")
    options = _options(shard_set, encoders, dtype, batch_size)
    identity = extraction_fingerprint(options)
    state = PackState(out)
    state.make_folder()
    if (finished := state.finished(identity)) is not None:
        return finished
    shards = shard_set.indexes[0].shards
    mine = share(len(shards), *array)
    with state.task(*array, identity, mine):
        if (finished := state.finished(identity)) is not None:
            return finished  # the last of the other tasks finalized while this one started
        pending = [number for number in mine if state.read(number) is None]
        samples = {n: np.flatnonzero(shard_set.shard_of == n).tolist() for n in mine}
        total = sum(map(len, samples.values()))
        with ProgressDisplay("extracting", total, total - sum(len(samples[n]) for n in pending), progress) as bar:
            for number in pending:
                _shard(shard_set, number, samples[number], out, encoders, dtype, batch_size, workers)
                bar.advance(len(samples[number]))
        found = [record for number in range(len(shards)) if (record := state.read(number)) is not None]
        if len(found) < len(shards):
            return None
        with state.finalize_once() as is_finalizer:
            return (
                _finalize(shard_set, found, {**options, "fingerprint": identity}, out, state) if is_finalizer else None
            )


def _finalize(
    shard_set: ShardDataset, found: list[FinishedShard], options: dict[str, str], out: Path, state: PackState
) -> ShardIndex:
    shards = [record.shard for record in found if record.shard is not None]
    index = ShardIndex(
        dataset_id=dataset_id(shards),
        corpus=shard_set.indexes[0].corpus,
        kind="features",
        options=options,
        shards=shards,
    )
    write_index(out, index)
    state.remove()
    return index


def _options(shard_set: ShardDataset, encoders: FrozenEncoders, dtype: str, batch_size: int) -> dict[str, str]:
    rate = getattr(encoders.modules.get("audio"), "rate_hz", None)
    packed = shard_set.preparation
    return {
        "source": shard_set.dataset_id,
        **{f"{name}_encoder": value for name, value in encoders.identity.items()},
        **{name: str(value) for name, value in encoders.preprocessing.items()},
        **({} if rate is None else {"audio_hz": str(float(rate))}),
        **{f"{name}_layers": str(count) for name, count in encoders.layers.items() if count > 1},
        "dtype": dtype,
        **({} if packed is None else {KEY: json.dumps(packed.to_json())}),
        **({} if encoders.origin is None else {OPTION: json.dumps({**json.loads(encoders.origin), "dtype": dtype})}),
        "batch_size": str(batch_size),  # sums of floats are rounded by the shape they are taken in
    }


def _shard(
    shard_set: ShardDataset,
    number: int,
    samples: list[int],
    out: Path,
    encoders: FrozenEncoders,
    dtype: str,
    batch_size: int,
    workers: int,
) -> None:
    features = _features(shard_set, samples, encoders, dtype, batch_size, workers)
    state = PackState(out)
    writer = ShardWriter(out, shard_set.samples[samples[0]].shard.name, state.temporary(number))
    with SampleReader() as reader, writer:
        for position in samples:
            meta = shard_set.samples[position].sample.meta
            members = {**features[meta.key], **reader.read(shard_set.ref(position), {TEXT})}
            writer.add(Sample(meta, members))
    state.finish(number, FinishedShard(shard=writer.shard, skips=[]))
    writer.commit()


def _features(
    shard_set: ShardDataset, samples: list[int], encoders: FrozenEncoders, dtype: str, batch_size: int, workers: int
) -> dict[str, dict[str, bytes]]:
    """Key -> member -> bytes of one shard, read exactly as evaluation reads it."""
    loader = _loader(shard_set, samples, encoders, batch_size, workers)
    found: dict[str, dict[str, bytes]] = {}
    try:
        for batch in loader:
            for key, arrays in zip(batch["keys"], encoders.features(batch), strict=True):
                if key:
                    found[key] = {f"{name}{FEATURES}": _npy(a, dtype, name, key) for name, a in arrays.items()}
    finally:
        loader.close()
    return found


def first_batch(source: Path, encoders: FrozenEncoders, size: int = 4) -> Batch:
    """The first samples of a folder of media shards, as encoders are given them.

    Raises:
        UserError: `source` holds no media shards.
    """
    shard_set = ShardDataset([source])
    if shard_set.kind != "media":
        raise UserError(f"{source}: holds features already; give the folder of media shards")
    loader = _loader(shard_set, list(range(min(size, len(shard_set)))), encoders, size, 0)
    try:
        return next(iter(loader))
    finally:
        loader.close()


def _loader(
    shard_set: ShardDataset, samples: list[int], encoders: FrozenEncoders, batch_size: int, workers: int
) -> EvalLoader:
    wanted = {k: v for k, v in encoders.preprocessing.items() if k in DataConfig.model_fields}
    config = DataConfig(**wanted, workers=workers, micro_batch=batch_size, bad_sample_limit=0)
    return EvalLoader(shard_set, samples, [NO_LABEL] * len(samples), config, encoders.tokenizer)


def _npy(array: torch.Tensor, dtype: str, name: str, key: str) -> bytes:
    values = array.numpy().astype(dtype)
    if not np.isfinite(values).all():
        raise UserError(f"--dtype: {name} features of {key} do not fit {dtype}; use float32")
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return buffer.getvalue()
