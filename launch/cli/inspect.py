"""`dual-hpc inspect`: what a folder of shards holds, one sample in full, and whether every byte is intact."""

from __future__ import annotations

import argparse
from pathlib import Path

from launch.cli.plugin_argument import add_plugin_argument

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
        "--audit-sides",
        action="store_true",
        help="find out from IEMOCAP's media which half shows the actor whom a recording's name names",
    )
    parser.add_argument("--audit-count", type=int, default=20, metavar="N", help="dialogues to use (default 20)")
    parser.add_argument("--picture-rows", default="0.25:0.75", metavar="TOP:BOTTOM", help="as in pack, for the audit")
    parser.add_argument("--progress", action=argparse.BooleanOptionalAction, help="a bar (default: on a terminal)")
    add_plugin_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Show, and verify if asked.

    Returns:
        0, or 1 if damage was found.

    Raises:
        UserError: the folder is not a data set, or the sample is not in it.
    """
    from dual_hpc.data.format.index import read_index
    from dual_hpc.errors import UserError
    from shards.inspection import overview

    if args.audit_sides:
        from shards.audit import audit_folder, describe
        from shards.options import PackOptions, picture_rows

        if args.audit_count < 1:
            raise UserError(f"--audit-count: {args.audit_count} is not a valid number of dialogues; give 1 or more")
        rows = PackOptions(picture_rows=picture_rows(args.picture_rows)).picture_rows
        print(describe(audit_folder(args.folder, args.audit_count, rows, args.progress)))
        return 0
    index = read_index(args.folder, setting="folder")
    if not args.verify:
        print(overview(index, args.sample))
        return 0
    from dual_hpc.data.decoding.decoder_counts import DecoderCounts
    from dual_hpc.progress import ProgressDisplay
    from shards.verify import verify

    total = sum(len(shard.samples) for shard in index.shards)
    with ProgressDisplay("verifying", total, shown=args.progress) as bar:
        decoders = DecoderCounts()
        faults = verify(args.folder, bar.advance, decoders)
    for fault in faults:
        print(f"{fault.where}: {fault.reason}")
    if decoders.as_dict():
        print(f"videos by the decoder that training will use: {decoders}")
    size = f"{total} samples in {len(index.shards)} shards"
    print(f"{args.folder}: {size} by its index, {len(faults) or 'no'} {'fault' if len(faults) == 1 else 'faults'}")
    return 1 if faults else 0
