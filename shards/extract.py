"""`dual-hpc extract`, and the same as a script: `python shards/extract.py SHARDS --model DIR --out FEATURES`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

EXAMPLES = """\
examples:
  dual-hpc extract $SCRATCH/shards/meld --preset meld --out $SCRATCH/shards/meld-features
  dual-hpc extract $SCRATCH/shards/meld --model runs/best --out $SCRATCH/shards/meld-features
  dual-hpc extract SHARDS --preset meld --out OUT model.use_text=false      # settings change the preset
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    parser.add_argument("folder", type=Path, help="a folder of media shards")
    parser.add_argument("--out", type=Path, required=True, help="folder of the feature shards")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--model", type=Path, help="a saved DUAL, whose encoders are used")
    which.add_argument("--preset", help="a preset or YAML file that names pretrained encoders")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings that change the preset")
    parser.add_argument("--dtype", choices=("float16", "float32"), default="float16", help="default float16")
    parser.add_argument("--batch", type=int, default=8, help="samples per forward pass (default 8)")
    parser.add_argument("--workers", type=int, default=0, help="processes that decode (default 0: none)")
    parser.add_argument("--array-index", type=int, default=0, help="this task's number, from 0, of --array-count")
    parser.add_argument("--array-count", type=int, default=1, help="tasks that fill the same folder, one per GPU")
    parser.add_argument("--progress", action=argparse.BooleanOptionalAction, help="a bar (default: on a terminal)")


def run(args: argparse.Namespace) -> int:
    """Extract and say what happened.

    Raises:
        UserError: arguments, shards, encoders or output folder are wrong.
    """
    from dual_hpc.config import load_config
    from dual_hpc.errors import UserError

    if args.batch < 1:
        raise UserError(f"--batch: {args.batch} is no number of samples")
    if not 0 <= args.workers <= 256:
        raise UserError(f"--workers: {args.workers} is not between 0 and 256")
    if not 0 <= args.array_index < args.array_count <= 10_000:
        raise UserError(f"--array-index: {args.array_index} is not below --array-count {args.array_count}")
    if args.model and args.overrides:
        raise UserError(f"{args.overrides[0]}: settings change a preset; a saved --model is used as it is")
    config = None if args.model else load_config(args.preset, args.overrides)

    from shards.encoders import encoders_of_config, encoders_of_model
    from shards.extraction import extract

    encoders = encoders_of_model(args.model) if config is None else encoders_of_config(config)
    array = (args.array_index, args.array_count)
    index = extract(args.folder, args.out, encoders, args.dtype, args.batch, args.workers, array, args.progress)
    if index is None:
        print(f"task {args.array_index} of {args.array_count} is done; other tasks still work on {args.out}")
        return 0
    samples = sum(len(shard.samples) for shard in index.shards)
    size = sum(shard.bytes for shard in index.shards)
    print(f"extracted {samples} samples into {args.out}: {len(index.shards)} shards, {size / 1e6:.1f} MB")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry of the script."""
    from dual_hpc.errors import DualError

    parser = argparse.ArgumentParser(prog="extract.py", description="Run frozen encoders over media shards.")
    add_arguments(parser)
    try:
        return run(parser.parse_intermixed_args(argv))
    except DualError as error:
        print(f"extract.py: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("extract.py: interrupted; the same command continues", file=sys.stderr)
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
