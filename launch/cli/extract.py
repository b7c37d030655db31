"""`dual-hpc extract`: media shards to feature shards, by frozen encoders."""

from __future__ import annotations

import argparse
from pathlib import Path

from launch.cli.plugin_argument import add_plugin_argument
from launch.cli.task_arguments import add_task_arguments, array_of, share_done

EXAMPLES = """\
examples:
  dual-hpc extract $SCRATCH/shards/meld --preset meld --out $SCRATCH/shards/meld-features
  dual-hpc extract $SCRATCH/shards/meld --model runs/best --out $SCRATCH/shards/meld-features
  dual-hpc extract SHARDS --preset meld --out OUT model.use_text=false      # settings change the preset
  dual-hpc extract SHARDS --preset meld --out FEATURES/base                 # one of several sets in a folder
  dual-hpc extract SHARDS --preset meld --out FEATURES/whisper \\
      model.audio.kind=whisper model.audio.path=DIR model.use_video=false model.use_text=false
  dual-hpc train --preset meld --shards FEATURES 'model.audio.features=[base,whisper]'
  dual-hpc submit --profile my-cluster.yaml --tasks 4 -- extract SHARDS --preset meld --out OUT   # four GPUs share it
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("folder", type=Path, help="a folder of media shards")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of the feature shards; FEATURES/NAME: a set of several",
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--model", type=Path, metavar="DIR", help="a saved model, whose encoders are used")
    which.add_argument("--preset", metavar="NAME", help="a preset or YAML file that names pretrained encoders")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings that change the preset")
    parser.add_argument("--dtype", choices=("float16", "float32"), default="float16", help="default float16")
    parser.add_argument(
        "--layers",
        default="last",
        metavar="WHICH",
        help="last (default), all, or numbers as 6,9,12: stored side by side, and mixed by what is trained on them",
    )
    parser.add_argument(
        "--precision",
        choices=("fp32", "bf16"),
        default="fp32",
        help="of the encoders (default fp32); bf16 takes half the memory, and the difference is told",
    )
    parser.add_argument("--batch", type=int, default=8, metavar="N", help="samples per forward pass (default 8)")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="processes that decode (default 0: none)")
    add_task_arguments(parser)
    add_plugin_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Extract and say what happened.

    Raises:
        UserError: arguments, shards, encoders or output folder are wrong.
    """
    from dual_hpc.config import load_config
    from dual_hpc.errors import UserError
    from dual_hpc.plugins import load_plugins

    if args.batch < 1:
        raise UserError(f"--batch: {args.batch} is not a valid number of samples; give 1 or more")
    if not 0 <= args.workers <= 256:
        raise UserError(f"--workers: {args.workers} is not between 0 and 256")
    numbers = _layer_numbers(args.layers)
    array = array_of(args)
    if args.model and args.overrides:
        raise UserError(f"{args.overrides[0]}: settings change a preset; a saved --model is used as it is")
    config = None if args.model else load_config(args.preset, args.overrides)
    load_plugins(config.plugins if config is not None else ())

    from shards.encoders import encoders_of_config, encoders_of_model, in_bf16, relative_differences, with_layers
    from shards.extraction import extract, first_batch

    encoders = encoders_of_model(args.model) if config is None else encoders_of_config(config)
    if args.layers != "last":
        encoders = with_layers(encoders, numbers)
    if args.precision == "bf16":
        exact, encoders = encoders, in_bf16(encoders)
        batch = first_batch(args.folder, exact)
        for name, difference in relative_differences(exact, encoders, batch).items():
            print(f"{name}: bf16 differs from fp32 by {difference:.1%} (root mean square, {len(batch['keys'])} clips)")
        del exact
    index = extract(args.folder, args.out, encoders, args.dtype, args.batch, args.workers, array, args.progress)
    if index is None:
        print(share_done(array, args.out))
        return 0
    samples = sum(len(shard.samples) for shard in index.shards)
    size = sum(shard.bytes for shard in index.shards)
    print(f"extracted {samples} samples into {args.out}: {len(index.shards)} shards, {size / 1e6:.1f} MB")
    return 0


def _layer_numbers(words: str) -> list[int] | None:
    """The numbers that `--layers` lists; None for a word."""
    from dual_hpc.errors import UserError

    if words in ("last", "all"):
        return None
    parts = words.strip("[]").split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise UserError(f"--layers: {words!r} is not last, all, or numbers as 6,9,12")
    return [int(part) for part in parts]
