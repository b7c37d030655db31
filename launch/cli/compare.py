"""`dual-hpc compare`: several models on the same test samples, in one table and one figure."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dual_hpc.evaluation.comparison.comparison import Comparison

EXAMPLES = """\
examples:
  dual-hpc compare text-only dual                        # two evaluated runs; the second against the first
  dual-hpc compare families --out comparison/            # every experiment of a sweep, over its seeds and folds
  dual-hpc compare families --reference dual             # all against this one
  dual-hpc compare families svm/                         # and what `dual-hpc baseline --out svm/` has written
  dual-hpc compare trial-1 trial-2 --checkpoint last --json

What is compared are the predictions that `dual-hpc evaluate` and `dual-hpc sweep --evaluate` have written: UA, WA,
weighted and macro F1, F1 per class and the worst speaker with {A,V} and {A,V,T}, and text reliance. The members of a
sweep that differ only in seed and fold are one model. Intervals come from a bootstrap of whole dialogues, the same ones
for every model, and from the spread over seeds, or folds, where there are several. p-values are corrected by Holm's
method over the models; the effect size is the difference in standard deviations.

--out DIR writes comparison.md, .tex (booktabs), .csv, .json, and the figures as .png and .pdf. Models with other test
samples or another protocol are refused with exit code 2.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names", nargs="+", metavar="RUN", help="a run, a sweep, or predictions; the first is the reference"
    )
    parser.add_argument(
        "--reference", metavar="MODEL", help="compare with this model of the table (default: the first)"
    )
    parser.add_argument("--store", metavar="DIR", help="where names are looked up (default: DUAL_STORE, see `runs`)")
    parser.add_argument("--split", default="test", metavar="NAME", help="the split that was evaluated (default test)")
    parser.add_argument("--checkpoint", default="best", metavar="NAME", help="best (default) or last")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the tables and figures")
    parser.add_argument("--json", action="store_true", help="every number as JSON instead of tables")


def run(args: argparse.Namespace) -> int:
    from dual_hpc.config.paths import default_store
    from dual_hpc.errors import UserError
    from dual_hpc.evaluation.comparison.comparison import compare, with_reference
    from dual_hpc.evaluation.comparison.files import write_comparison
    from dual_hpc.printable import json_line
    from launch.sweeps.compared import models_of

    if args.out is not None and args.out.exists() and not args.out.is_dir():
        raise UserError(f"--out: {args.out} is not a folder")
    store = Path(args.store).absolute() if args.store else default_store().absolute()
    models = models_of(args.names, store, f"{args.split}_{args.checkpoint}")
    comparison = compare(with_reference(models, args.reference) if args.reference else models)
    if args.out is not None:
        write_comparison(args.out, comparison)
    if args.json:
        print(json_line(comparison.to_json()))
    else:
        print_comparison(comparison)
    return 0


def print_comparison(comparison: Comparison) -> None:
    """The tables on the terminal, and what a reader must know of them."""
    from rich.table import Table

    from dual_hpc.evaluation.comparison.page import notes, sections
    from launch.cli.terminal import print_table

    for section in sections(comparison):
        table = Table(*section.headings, box=None, title=section.title, title_justify="left")
        for row in section.rows:
            table.add_row(*row)
        print_table(table)
        print()
    for note in notes(comparison):
        print(note)
