"""`--register NAME`: what was evaluated becomes a version of a model in MLflow's registry."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dual_hpc.run.directory import RunDir


def add_register_argument(parser: argparse.ArgumentParser) -> None:
    """Add it to a command."""
    parser.add_argument(
        "--register", metavar="NAME", help="register the weights in MLflow under this name: aliases candidate and best"
    )


def check_registration(args: argparse.Namespace, run: RunDir | None) -> None:
    """Refuse, before the minutes of work, what cannot be registered.

    Raises:
        UserError: says why.
    """
    from dual_hpc.errors import UserError
    from dual_hpc.files.ownership import is_others
    from dual_hpc.tracking.mlflow_registry import check_name

    check_name(args.register)
    if run is None or args.out is not None:
        raise UserError("--register needs a RUN, whose report and models MLflow shows; leave --model and --out out")
    if is_others(run.path) or not run.config().tracking.enabled:
        raise UserError("--register: only a run of yours with tracking.enabled=true is shown in MLflow")


def register_export(run: RunDir, export: str, name: str) -> None:
    """Show the report in MLflow, and register what it is about.

    Raises:
        EnvironmentFault: MLflow cannot be reached.
    """
    import sys

    from dual_hpc.errors import DualError, EnvironmentFault, reason_of
    from dual_hpc.evaluation.metrics import selecting_metric
    from dual_hpc.tracking.mlflow_registry import register
    from dual_hpc.tracking.mlflow_sync import sync

    better = selecting_metric(run.config().training.select_by).higher_is_better
    try:
        made = register(run, sync(run), export, name, higher_is_better=better)
    except DualError:
        raise
    except Exception as error:  # MLflow's clients raise what they like
        raise EnvironmentFault(f"tracking.uri: nothing was registered: {reason_of(error)}") from error
    note = f"; {made.note}" if made.note else ""
    print(f"registered: {name} version {made.version} ({', '.join(made.aliases)}){note}", file=sys.stderr)
