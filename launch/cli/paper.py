"""`dual-hpc paper`: a folder with everything of a sweep that a paper and its readers need."""

from __future__ import annotations

import argparse
from pathlib import Path

EXAMPLES = """\
examples:
  dual-hpc paper families                                # into families-paper/
  dual-hpc paper families --reference dual --out kit/
  pdflatex -output-directory /tmp kit/paper.tex          # in kit/: to look at the tables and figures

The sweep must have been evaluated (`dual-hpc sweep --evaluate NAME`). The folder holds tables/ (LaTeX with booktabs,
Markdown, CSV, JSON), figures/ (PDF and PNG), config/ (each run's exact configuration, and what they share), facts.json
(data set ids, code version, environment, seeds, folds, hours used) and REPRODUCE.md: one page with the commands that
train, evaluate and compare everything again.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="SWEEP", help="a sweep with two experiments or more: its name, or its folder")
    parser.add_argument(
        "--reference", metavar="MODEL", help="the model to compare with (default: the first of the table)"
    )
    parser.add_argument("--store", metavar="DIR", help="where SWEEP is looked up (default: DUAL_STORE, see `runs`)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the kit (default: SWEEP-paper)")


def run(args: argparse.Namespace) -> int:
    from dual_hpc.config.paths import default_store
    from dual_hpc.errors import UserError
    from dual_hpc.evaluation.comparison.comparison import compare, with_reference
    from launch.records.nearest import did_you_mean
    from launch.sweeps.compared import models_of_sweep
    from launch.sweeps.grid import find_sweep
    from launch.sweeps.paper_files import write_kit

    store = Path(args.store).absolute() if args.store else default_store().absolute()
    if (sweep := find_sweep(args.name, store)) is None:
        meant = did_you_mean(args.name, [store / "sweeps"])
        raise UserError(f"there is no sweep {args.name!r} in {store}{meant}; `dual-hpc sweep` makes one")
    out = args.out or Path(f"{sweep.sweep.name}-paper")
    if out.exists() and not out.is_dir():
        raise UserError(f"--out: {out} is not a folder")
    models = models_of_sweep(sweep)
    written = write_kit(out, sweep, compare(with_reference(models, args.reference) if args.reference else models))
    print(f"{out}: {len(written)} files; read {out / 'REPRODUCE.md'}")
    return 0
