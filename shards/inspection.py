"""A folder of shards in text: size, classes, durations, and one sample in full."""

from __future__ import annotations

from dual_hpc.data.format.index import ShardIndex
from dual_hpc.errors import UserError
from dual_hpc.printable import printable
from shards.corpora import corpus_of


def overview(index: ShardIndex, key: str | None = None) -> str:
    """A data set in text: size, classes, durations, and one sample in full.

    Raises:
        UserError: no sample has that key.
    """
    samples = [(shard, sample) for shard in index.shards for sample in shard.samples]
    if not samples:
        raise UserError(f"data set {index.dataset_id} of {index.corpus} is empty: pack the corpus again")
    size = sum(shard.bytes for shard in index.shards)
    seconds = sorted(sample.meta.duration for _, sample in samples)
    quantiles = ", ".join(
        f"{name} {seconds[min(len(seconds) - 1, int(q * len(seconds)))]:.2f}"
        for name, q in (("min", 0.0), ("median", 0.5), ("p95", 0.95), ("max", 1.0))
    )
    lines = [
        f"{index.corpus} ({index.kind}), data set {index.dataset_id}, format {index.format_version}",
        f"{len(samples)} samples in {len(index.shards)} shards, {size / 1e6:.1f} MB, {sum(seconds) / 3600:.2f} hours",
        f"seconds: {quantiles}, mean {sum(seconds) / len(seconds):.2f}",
        "",
    ]
    counts = corpus_of(index.corpus).count(sample.meta for _, sample in samples)
    width = max(map(len, counts))
    lines += [f"  {printable(group):<{width}} {count:>6}" for group, count in counts.items()]
    clipped = [sample.meta.clipped for _, sample in samples if sample.meta.clipped]
    if clipped:
        lines += ["", f"audio beyond full scale: {sum(clipped)} audio samples clipped in {len(clipped)} samples"]
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
