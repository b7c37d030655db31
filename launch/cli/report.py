"""`dual-hpc report`: the report of an evaluation again, from its predictions, without the model."""

from __future__ import annotations

import argparse
from pathlib import Path

from launch.cli.plugin_argument import add_plugin_argument

EXAMPLES = """\
examples:
  dual-hpc report trial-2                                # every evaluation in the run's reports/
  dual-hpc report store/runs/trial-2/reports/test_best_predictions.jsonl
  dual-hpc report report/                                # what `evaluate --out report/` has written

`dual-hpc evaluate` writes NAME_predictions.jsonl beside its report: a first line that says what was evaluated, then one
line per utterance with its key, corpus, dialogue, speaker, label, and the probability of each class under each
condition ({A,V}, {A,V,T}, misleading text ...). Every number of NAME.json, NAME.md and NAME.png follows from that file,
so a metric that was registered later needs no GPU.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("where", metavar="RUN|FOLDER|FILE", help="a run, a folder of reports, or a file of predictions")
    parser.add_argument("--store", metavar="DIR", help="where RUN is looked up (default: DUAL_STORE, see `runs`)")
    add_plugin_argument(parser)
    parser.add_argument("--json", action="store_true", help="every number as JSON instead of tables")


def run(args: argparse.Namespace) -> int:
    from dual_hpc.errors import UserError
    from dual_hpc.evaluation.report_files import prediction_files, rewrite_reports
    from dual_hpc.printable import json_line
    from launch.cli.score_table import left_out_line, reliance_line, score_table
    from launch.cli.terminal import print_table

    path = Path(args.where)
    folder = path if path.exists() and not (path / "run.json").exists() else _reports(args.where, args.store)
    files = prediction_files(folder) if folder.is_dir() else [folder]
    if not files:
        raise UserError(f"{folder} holds no *_predictions.jsonl: `dual-hpc evaluate` writes them")
    for file in files:
        result = rewrite_reports(file)
        if args.json:
            print(json_line(result.to_json()))
            continue
        print_table(score_table(result))
        for line in filter(None, (left_out_line(result), reliance_line(result))):
            print(line)
    return 0


def _reports(name: str, store: str | None) -> Path:
    from launch.runs.plan import find_run
    from launch.runs.report_place import report_folder

    return report_folder(find_run(name, store))
