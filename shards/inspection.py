"""A folder of shards in text: size, classes, durations, and one sample in full."""

from __future__ import annotations

import numpy as np

from dual_hpc.data.format.index import ShardIndex
from dual_hpc.data.format.members import FEATURES
from dual_hpc.errors import UserError
from dual_hpc.printable import printable
from shards.corpora import corpus_of
from shards.observed import observed, without


def overview(index: ShardIndex, key: str | None = None) -> str:
    """A data set in text: size, classes, durations, and one sample in full.

    Raises:
        UserError: no sample has that key.
    """
    samples = [(shard, sample) for shard in index.shards for sample in shard.samples]
    if not samples:
        raise UserError(f"data set {index.dataset_id} of {index.corpus} is empty: pack the corpus again")
    size = sum(shard.bytes for shard in index.shards)
    seconds = [sample.meta.duration for _, sample in samples]
    shares = {"min": 0.0, "median": 0.5, "p95": 0.95, "max": 1.0}
    quantiles = ", ".join(f"{name} {np.quantile(seconds, share):.2f}" for name, share in shares.items())
    lines = [
        f"{index.corpus} ({index.kind}), data set {index.dataset_id}, format {index.format_version}",
        f"{len(samples)} samples in {len(index.shards)} shards, {size / 1e6:.1f} MB, {sum(seconds) / 3600:.2f} hours",
        f"seconds: {quantiles}, mean {sum(seconds) / len(seconds):.2f}",
        "",
    ]
    metas = [sample.meta for _, sample in samples]
    counts = corpus_of(index.corpus).count(metas)
    width = max(map(len, counts))
    lines += [f"  {printable(group):<{width}} {count:>6}" for group, count in counts.items()]
    missing = without(metas)
    if index.kind == "features":  # of modalities that the media have, an encoder may have been left out
        missing = {
            f"features of {name}": sum(f"{name}{FEATURES}" not in sample.members for _, sample in samples)
            for name in missing
        }
    lacking = [f"{count} samples without {name}" for name, count in missing.items() if count]
    noted = [*lacking, *observed(metas)]
    lines += ["", *map(printable, noted)] if noted else []
    lines += ["", "options: " + ", ".join(f"{name}={printable(value)}" for name, value in index.options.items()), ""]
    found = next(((s, x) for s, x in samples if key in (None, x.meta.key)), None)
    if found is None:
        raise UserError(f"--sample: no sample has the key {key!r}")
    shard, sample = found
    lines.append(f"{shard.name}/{sample.meta.key}")
    lines += [
        f"  {n}: {printable(value)}" for n, value in sample.meta.model_dump(exclude_none=True, exclude={"key"}).items()
    ]
    lines += [f"  .{extension}: {size} bytes at {offset}" for extension, (offset, size) in sample.members.items()]
    return "\n".join(lines)
