"""`dual-hpc report`: the report of an evaluation again, from its predictions, without the model."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from launch.cli.plugin_argument import add_plugin_argument

if TYPE_CHECKING:
    from dual_hpc.evaluation.result import EvaluationResult

USUAL = 12  # errors of a gallery
EXAMPLES = """\
examples:
  dual-hpc report trial-2                                # every evaluation in the run's reports/
  dual-hpc report store/runs/trial-2/reports/test_best_predictions.jsonl
  dual-hpc report report/                                # what `evaluate --out report/` has written
  dual-hpc report trial-2 --gallery 24                   # also the 24 worst errors, a frame of each
  dual-hpc report report/ --gallery --shards shards/mine --subset avt

`dual-hpc evaluate` writes NAME_predictions.jsonl beside its report: a first line that says what was evaluated, then one
line per utterance with its key, corpus, dialogue, speaker, label, and the probability of each class under each
condition ({A,V}, {A,V,T}, misleading text ...). Every number of NAME.json, NAME.md and NAME.png follows from that file,
so a metric that was registered later needs no GPU.

--gallery writes NAME_gallery.png: the surest of the wrong answers, each with a frame (the sound where there is none)
and its words. That is media of the corpus, whose licence may forbid to pass it on: it lies in the run's folder
gallery/, which is sent nowhere, neither to MLflow nor by `paper`.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("where", metavar="RUN|FOLDER|FILE", help="a run, a folder of reports, or a file of predictions")
    parser.add_argument("--store", metavar="DIR", help="where RUN is looked up (default: DUAL_STORE, see `runs`)")
    parser.add_argument(
        "--gallery", type=int, nargs="?", const=USUAL, metavar="COUNT", help="draw the worst errors (without COUNT: 12)"
    )
    parser.add_argument(
        "--shards", action="append", default=[], metavar="DIR", help="media for --gallery (default: those of the run)"
    )
    parser.add_argument("--subset", metavar="LETTERS", help="modalities of --gallery, such as av (default: the first)")
    add_plugin_argument(parser)
    parser.add_argument("--json", action="store_true", help="every number as JSON instead of tables")


def run(args: argparse.Namespace) -> int:
    from dual_hpc.errors import UserError
    from dual_hpc.evaluation.prediction_file import ENDING
    from dual_hpc.evaluation.report_files import ROBUSTNESS, prediction_files, rewrite_reports
    from dual_hpc.printable import json_line
    from launch.cli.score_table import left_out_line, reliance_line, score_table
    from launch.cli.terminal import print_table

    path = Path(args.where)
    folder = path if path.exists() and not (path / "run.json").exists() else _reports(args.where, args.store)
    files = prediction_files(folder) if folder.is_dir() else [folder]
    if args.gallery is None and (args.shards or args.subset):
        raise UserError("--shards and --subset are of --gallery: add it")
    if not files:
        raise UserError(f"{folder} holds no *_predictions.jsonl: `dual-hpc evaluate` writes them")
    for file in files:
        result = rewrite_reports(file)
        if args.gallery is not None and not file.name.endswith(f"{ROBUSTNESS}{ENDING}"):
            print(gallery(file, result, args), file=sys.stderr)
        if args.json:
            print(json_line(result.to_json()))
            continue
        print_table(score_table(result))
        for line in filter(None, (left_out_line(result), reliance_line(result))):
            print(line)
    return 0


def gallery(file: Path, result: EvaluationResult, args: argparse.Namespace) -> str:
    """Draw the worst errors of a file of predictions; what was done, in a line.

    Raises:
        UserError: it is of no run, and no shards are named; or as `write_gallery`.
    """
    from dual_hpc.errors import UserError
    from dual_hpc.evaluation.gallery import write_gallery
    from dual_hpc.evaluation.prediction_file import ENDING
    from dual_hpc.run.directory import RunDir

    folder, predictions = file.absolute().parent, result.predictions
    assert predictions is not None, "rewrite_reports has read them"
    of_run = (folder.parent / "run.json").is_file()
    shards = args.shards or (RunDir.open(folder.parent).config().data.shards if of_run else [])
    if not shards:
        raise UserError("--gallery: the predictions are of no run: name the media by --shards DIR")
    place = (folder.parent if of_run else folder) / "gallery"
    path = place / f"{file.name.removesuffix(ENDING)}_gallery.png"
    subset = args.subset or predictions.subsets[0]
    count = write_gallery(path, predictions, shards, subset, args.gallery)
    return f"{path}: {count} errors; it shows media of the corpus" if count else "no answer is wrong: no gallery"


def _reports(name: str, store: str | None) -> Path:
    from launch.runs.plan import find_run
    from launch.runs.report_place import report_folder

    return report_folder(find_run(name, store))
