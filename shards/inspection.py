"""`dual-hpc inspect`: what a folder of shards holds, one sample in full, and whether every byte is sound."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shards.script import run_script

if TYPE_CHECKING:
    from dual_hpc.data.format.index import ShardIndex

EXAMPLES = """\
examples:
  dual-hpc inspect $SCRATCH/shards/meld
  dual-hpc inspect $SCRATCH/shards/meld --sample train_dia0_utt3
  dual-hpc inspect $SCRATCH/shards/meld --verify        # hashes all, decodes all; exit code 1 on damage
  dual-hpc inspect $DSDIR/IEMOCAP --audit-sides         # before packing: which half shows the speaker?
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("folder", type=Path, help="a folder of shards; with --audit-sides a raw IEMOCAP folder")
    parser.add_argument("--sample", metavar="KEY", help="show this sample (default: the first)")
    parser.add_argument("--verify", action="store_true", help="check every hash and decode every sample")
    parser.add_argument(
        "--audit-sides", action="store_true", help="ask IEMOCAP's media on which side the named actor stands"
    )
    parser.add_argument("--audit-count", type=int, default=20, metavar="N", help="dialogues to ask (default 20)")
    parser.add_argument("--picture-rows", default="0.25:0.75", metavar="TOP:BOTTOM", help="as in pack, for the audit")
    parser.add_argument("--progress", action=argparse.BooleanOptionalAction, help="a bar (default: on a terminal)")


def run(args: argparse.Namespace) -> int:
    """Show, and verify if asked.

    Returns:
        0, or 1 if damage was found.

    Raises:
        UserError: the folder is no data set, or the sample is not in it.
    """
    from dual_hpc.data.format.index import read_index
    from dual_hpc.errors import UserError

    if args.audit_sides:
        from shards.audit import audit_folder, describe
        from shards.options import PackOptions, picture_rows

        if args.audit_count < 1:
            raise UserError(f"--audit-count: {args.audit_count} is no number of dialogues")
        rows = PackOptions(picture_rows=picture_rows(args.picture_rows)).picture_rows
        print(describe(audit_folder(args.folder, args.audit_count, rows, args.progress)))
        return 0
    index = read_index(args.folder)
    if not args.verify:
        print(overview(index, args.sample))
        return 0
    from dual_hpc.progress import ProgressDisplay
    from shards.verify import verify

    total = sum(len(shard.samples) for shard in index.shards)
    with ProgressDisplay("verifying", total, shown=args.progress) as bar:
        faults = verify(args.folder, bar.advance)
    for fault in faults:
        print(f"{fault.where}: {fault.reason}")
    print(f"{args.folder}: {total} samples in {len(index.shards)} shards, {len(faults) or 'no'} faults")
    return 1 if faults else 0


def overview(index: ShardIndex, key: str | None = None) -> str:
    """A data set in text: size, classes, durations, and one sample in full.

    Raises:
        UserError: no sample has that key.
    """
    from dual_hpc.errors import UserError
    from shards.corpora.published import groups

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
    counts = groups(index.corpus, (sample.meta for _, sample in samples))
    width = max(map(len, counts))
    lines += [f"  {group:<{width}} {count:>6}" for group, count in counts.items()]
    lines += ["", "options: " + ", ".join(f"{name}={value}" for name, value in index.options.items()), ""]
    found = next(((s, x) for s, x in samples if key in (None, x.meta.key)), None)
    if found is None:
        raise UserError(f"--sample: no sample has the key {key!r}")
    shard, sample = found
    lines.append(f"{shard.name}/{sample.meta.key}")
    lines += [f"  {n}: {value}" for n, value in sample.meta.model_dump(exclude_none=True, exclude={"key"}).items()]
    lines += [f"  .{extension}: {size} bytes at {offset}" for extension, (offset, size) in sample.members.items()]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry of the script."""
    return run_script("inspection.py", "Show or verify a folder of shards.", EXAMPLES, add_arguments, run, argv)


if __name__ == "__main__":
    raise SystemExit(main())
