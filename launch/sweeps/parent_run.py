"""MLflow's own run of a sweep, which groups those of its members. MLflow may be away: then it is made later."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dual_hpc.config.schema import RunConfig
from dual_hpc.errors import reason_of
from launch.cluster.state import State
from launch.sweeps.grid import SweepDir
from launch.sweeps.results import Row, experiments

if TYPE_CHECKING:
    from mlflow import MlflowClient

PARENT_TAG = "mlflow.parentRunId"  # a member's: MLflow's id of the sweep's own run
SWEEP_TAG = "sweep"  # a member's: the name of the sweep
_NAME_TAG, _FOLDER_TAG, _COUNT_TAG = "dual.sweep", "dual.sweep_dir", "dual.members"

log = logging.getLogger(__name__)


def make_parent_run(config: RunConfig, sweep: SweepDir) -> str | None:
    """Make the run of a new sweep, and return its id, which the members carry as a tag.

    Where MLflow cannot be reached, that is a warning and None: no submission waits for it.

    Raises:
        UserError: `tracking.*` is wrong.
    """
    from dual_hpc.errors import UserError
    from dual_hpc.tracking.mlflow_store import experiment_id, store_of

    store = store_of(config)
    try:
        with store.client() as client:
            return _create(client, experiment_id(client, store, config.tracking.experiment), sweep)
    except UserError:
        raise
    except Exception as error:  # whatever MLflow or the network raises
        again = f"`dual-hpc sweep --show {sweep.sweep.name}` groups them when MLflow answers"
        log.warning("MLflow cannot be reached, so its runs are not grouped: %s; %s", reason_of(error, 160), again)
        return None


def delete_parent_run(config: RunConfig, parent: str) -> None:
    """Delete MLflow's run of a sweep that was not submitted."""
    from dual_hpc.tracking.mlflow_store import store_of

    try:
        with store_of(config).client() as client:
            client.delete_run(parent)
    except Exception as error:  # the refusal that led here says more
        log.warning("MLflow's run %s of the sweep is left behind: %s", parent, reason_of(error, 160))


def log_to_mlflow(config: RunConfig, sweep: SweepDir, rows: Sequence[Row], files: Sequence[str]) -> None:
    """Log means, deviations and `files` of the sweep's folder to its own run; end it when all members have finished.

    Raises:
        Exception: whatever MLflow or the network raises.
    """
    from dual_hpc.tracking.mlflow_format import mlflow_name
    from dual_hpc.tracking.mlflow_store import experiment_id, store_of

    store = store_of(config)
    with store.client() as client:
        parent = config.tracking.tags.get(PARENT_TAG)
        parent = parent or _parent_of(client, experiment_id(client, store, config.tracking.experiment), sweep)
        for one in experiments(rows):
            prefix = "".join(f"{setting}/" for setting in one.settings)
            for score, statistic in one.scores.items():
                key = score.translate(str.maketrans("", "", "{},")).replace(" ", "_")
                for suffix, value in (("mean", statistic.mean), ("std", statistic.std), ("runs", statistic.n)):
                    if value is not None:
                        client.log_metric(parent, mlflow_name(f"{prefix}{key}/{suffix}"), value, timestamp=0, step=0)
        for name in files:
            client.log_artifact(parent, str(sweep.path / name))
        done = all(row.state is State.FINISHED for row in rows)
        client.update_run(parent, "FINISHED" if done else "RUNNING")


def _parent_of(client: MlflowClient, experiment: str, sweep: SweepDir) -> str:
    """The run of a sweep that was submitted without MLflow, made now if need be; the members get their tag."""
    made = client.search_runs([experiment], f"tags.`{_FOLDER_TAG}` = '{sweep.path}'", max_results=1)
    parent = str(made[0].info.run_id) if made else _create(client, experiment, sweep)
    names = {member.name for member in sweep.sweep.members}
    for run in client.search_runs([experiment], f"tags.`{SWEEP_TAG}` = '{sweep.sweep.name}'"):
        if run.info.run_name in names and PARENT_TAG not in run.data.tags:
            client.set_tag(run.info.run_id, PARENT_TAG, parent)
    return parent


def _create(client: MlflowClient, experiment: str, sweep: SweepDir) -> str:
    name = sweep.sweep.name
    tags = {_NAME_TAG: name, _FOLDER_TAG: str(sweep.path), _COUNT_TAG: str(len(sweep.sweep.members))}
    return str(client.create_run(experiment, run_name=name, tags=tags).info.run_id)
