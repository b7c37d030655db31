"""Runs to synchronise, and what MLflow has of them."""

from __future__ import annotations

from pathlib import Path

from mlflow import MlflowClient

from dual_hpc.config import load_config
from dual_hpc.run.directory import RunDir
from dual_hpc.tracking.mlflow_store import store_of


def make_run(store: Path, name: str, *overrides: str) -> RunDir:
    config = load_config("demo", [f"store={store}", f"name={name}", *overrides])
    return RunDir.create(store / "runs" / name, config, code_version="abc+dirty")


def mlflow_id(client: MlflowClient, run: RunDir, experiment_name: str = "dual") -> str:
    experiment = client.get_experiment_by_name(experiment_name)
    assert experiment is not None
    (found,) = client.search_runs(
        [experiment.experiment_id], filter_string=f"tags.`dual.run_id` = '{run.identity().run_id}'"
    )
    return str(found.info.run_id)


def history(run: RunDir, key: str, experiment: str = "dual") -> list[tuple[int, float, int]]:
    with store_of(run.config()).client() as client:
        found = client.get_metric_history(mlflow_id(client, run, experiment), key)
    return [(m.step, m.value, m.timestamp) for m in found]
