"""`dual-hpc baseline`: the classical line of the field on the shards of a run, with the same report."""

from __future__ import annotations

import argparse
from pathlib import Path

EXAMPLES = """\
examples:
  dual-hpc baseline --shards shards/iemocap --preset iemocap4 --out svm/           # MFCC statistics and an SVM
  dual-hpc baseline --shards shards/iemocap --preset iemocap4 --features egemaps --out svm-egemaps/
  dual-hpc baseline --shards shards/iemocap --preset iemocap4 --out svm-1/ data.test_fold=1
  dual-hpc compare svm/test_best_predictions.jsonl dual                            # beside a run in one table

The features of an utterance's sound are one vector: statistics of MFCC, or openSMILE's eGeMAPS, which needs the package
opensmile (pip install 'dual-hpc[egemaps]'; its licence allows research, not commercial use). Protocol, fold and the
validation split are those of a run with the same settings; the SVM's C is chosen on the validation split alone. --out
gets the files that `dual-hpc evaluate` writes for a run.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings of the section data")
    parser.add_argument("--shards", action="append", default=[], metavar="DIR", help="a folder of shards (repeatable)")
    parser.add_argument("--preset", default=None, metavar="NAME", help="a preset or a YAML file, for protocol and fold")
    parser.add_argument("--features", default="mfcc", metavar="NAME", help="mfcc or egemaps (default %(default)s)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the report and the predictions")
    parser.add_argument("--json", action="store_true", help="every number as JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    from dual_hpc.config import load_config
    from dual_hpc.errors import UserError
    from dual_hpc.evaluation.classical.run import evaluate_classical
    from dual_hpc.printable import json_line
    from launch.cli.score_table import score_table
    from launch.cli.terminal import print_table

    if args.out is not None and args.out.exists() and not args.out.is_dir():
        raise UserError(f"--out: {args.out} is not a folder")
    config = load_config(args.preset, args.overrides)
    data = config.data.model_copy(update={"shards": args.shards}) if args.shards else config.data
    result = evaluate_classical(data, args.features, args.out)
    if args.json:
        print(json_line(result.to_json()))
        return 0
    print_table(score_table(result))
    print(f"chosen: {result.about['selection']}")
    return 0
