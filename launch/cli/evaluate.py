"""`dual-hpc evaluate`: WA, UA and F1 of one set of weights with and without text, next to the trivial answers."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from launch.cli.plugin_argument import add_plugin_argument
from launch.cli.register_argument import add_register_argument, check_registration, register_export
from launch.cli.run_arguments import add_trust
from launch.cli.task_arguments import add_task_arguments, array_of

if TYPE_CHECKING:
    from dual_hpc.evaluation.result import EvaluationResult
    from dual_hpc.run.directory import RunDir

EXAMPLES = """\
examples:
  dual-hpc evaluate trial-2                              # the best checkpoint of a run on its test split
  dual-hpc evaluate store/runs/trial-2 --checkpoint last --split validation --json
  dual-hpc evaluate trial-2 --all-subsets                # every combination of audio, video and text
  dual-hpc evaluate trial-2 --register emotions          # and a version of the model `emotions` in MLflow's registry
  dual-hpc evaluate trial-2 --robustness                 # also under noise, dropped frames, word errors ...
  dual-hpc evaluate /shared/ana/store/runs/hers --out report/   # a colleague's run
  dual-hpc submit --profile my-cluster.yaml --tasks 4 -- evaluate trial-2 --robustness   # four GPUs share it
  dual-hpc evaluate --model exported/ --shards shards/mine --protocol all --split all --out report/

Killed and started again it continues after the last finished batch, on any number of tasks; the predictions
(SPLIT_CHECKPOINT_predictions.jsonl) are the same bytes on any number of tasks of one kind of machine.

A run's report is also written to its reports/ folder and shown in MLflow; that of a colleague's run where --out says,
or into its reports/ folder if its user's umask allows it, and in MLflow at that user's next `sync`.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_name", nargs="?", metavar="RUN", help="a run of the store by name, or its folder")
    parser.add_argument("--store", metavar="DIR", help="where RUN is looked up (default: DUAL_STORE, see `runs`)")
    parser.add_argument("--model", metavar="DIR", help="a saved model instead of a run; needs --shards and --protocol")
    parser.add_argument("--shards", action="append", default=[], metavar="DIR", help="shards for --model (repeatable)")
    parser.add_argument(
        "--protocol",
        metavar="NAME",
        help="protocol for --model: iemocap4, meld7, all, another of docs/protocols.md, or a YAML file",
    )
    parser.add_argument("--split", default="test", metavar="NAME", help="train, validation, test or all (default test)")
    parser.add_argument("--checkpoint", default="best", metavar="NAME", help="best (default) or last, of a run")
    parser.add_argument("--subsets", default="av,avt", metavar="LIST", help="modalities to score (default %(default)s)")
    parser.add_argument("--all-subsets", action="store_true", help="all seven combinations of modalities")
    parser.add_argument("--robustness", action="store_true", help="also scores under perturbations of the inputs")
    parser.add_argument("--seed", type=int, metavar="N", help="random seed of --robustness (default 0)")
    parser.add_argument("--noise", type=Path, metavar="DIR", help="noise recordings for --robustness, such as MUSAN")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the report (default: that of the run)")
    add_task_arguments(parser)
    add_register_argument(parser)
    add_plugin_argument(parser)
    add_trust(parser)
    parser.add_argument("--json", action="store_true", help="every number as JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    from dual_hpc.printable import json_line
    from launch.cli.score_table import left_out_line, reliance_line, robustness_table, score_table
    from launch.cli.terminal import print_table

    result = evaluate(args)
    if result is None:
        index, count = array_of(args)
        print(f"task {index} (of 0 to {count - 1}) has done its share; the last task writes the report")
        return 0
    if args.json:
        print(json_line(result.to_json()))
        return 0
    print_table(score_table(result))
    for line in filter(None, (left_out_line(result), reliance_line(result))):
        print(line)
    if result.robustness is not None:
        print_table(robustness_table(result.robustness))
    return 0


def evaluate(args: argparse.Namespace) -> EvaluationResult | None:
    """The typed result of what the arguments name; None where other tasks have not done their share yet."""
    from dual_hpc.config import load_config
    from dual_hpc.errors import UserError
    from dual_hpc.files.ownership import is_others
    from launch.cli.model_argument import model_folder
    from launch.runs.plan import find_run
    from launch.runs.report_place import report_folder

    if (args.run_name is None) == (args.model is None):
        raise UserError("name a RUN, or give --model DIR with --shards and --protocol")
    if args.model is None and (args.shards or args.protocol):
        raise UserError("--shards and --protocol need --model: a run is scored on its own shards")
    if args.model is not None and not (args.shards and args.protocol):
        raise UserError("--model needs --shards DIR and --protocol NAME to know what to score it on")
    if args.out is not None and args.out.exists() and not args.out.is_dir():
        raise UserError(f"--out: {args.out} is not a folder")
    if args.seed is not None and not args.robustness:
        raise UserError("--seed needs --robustness: nothing else is random")
    if args.noise is not None and not args.robustness:
        raise UserError("--noise needs --robustness")
    array = array_of(args)
    if array != (0, 1) and args.model is not None and args.out is None:
        raise UserError("--array-count: tasks that share an evaluation of --model need --out DIR, where they meet")
    found = find_run(args.run_name, args.store) if args.model is None else None
    if args.register is not None:
        check_registration(args, found)
    place = report_folder(found, args.out) if found is not None else None

    from dual_hpc.evaluation import run as evaluation

    seed = (args.seed or 0) if args.robustness else None
    subsets = evaluation.ALL_SUBSETS if args.all_subsets else tuple(args.subsets.split(","))
    if found is None:
        data = load_config(None, [f"data.protocol={args.protocol}"]).data.model_copy(update={"shards": args.shards})
        model = model_folder(args.model)
        if args.out is None:
            return evaluation.evaluate(model, data, args.split, subsets, robustness_seed=seed, noise=args.noise)
        return evaluation.evaluate_into(
            args.out, model, data, args.split, subsets, seed, args.noise, array, args.progress
        )
    result = evaluation.evaluate_run(
        found.path,
        args.split,
        args.checkpoint,
        subsets,
        robustness_seed=seed,
        noise=args.noise,
        out=place,
        trust=args.trust,
        array=array,
        progress=args.progress,
    )
    if result is not None and args.register is not None:
        register_export(found, args.checkpoint, args.register)
    elif result is not None and args.out is None and not is_others(found.path) and found.config().tracking.enabled:
        track(found)
    return result


def track(run_dir: RunDir) -> None:
    """Show the new report in MLflow; a tracking server that cannot be reached does not fail the evaluation."""
    import sys

    from dual_hpc.errors import reason_of
    from dual_hpc.tracking.mlflow_sync import sync

    try:
        sync(run_dir)
    except Exception as error:
        reason = reason_of(error)
        print(f"dual-hpc: warning: MLflow was not updated: {reason}", file=sys.stderr)
