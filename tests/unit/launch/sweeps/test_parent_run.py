"""MLflow's own run of a sweep: made with it, or later where MLflow was away when it was submitted."""

from __future__ import annotations

from pathlib import Path

import pytest

from dual_hpc.config import RunConfig, load_config
from dual_hpc.errors import UserError
from dual_hpc.tracking.mlflow_store import experiment_id, store_of
from launch.sweeps.grid import SweepDir, folder, grid
from launch.sweeps.parent_run import (
    PARENT_TAG,
    SWEEP_TAG,
    delete_parent_run,
    log_to_mlflow,
    make_parent_run,
)
from launch.sweeps.results import rows_of


def sweep_in(store: Path) -> tuple[RunConfig, SweepDir]:
    made = SweepDir(folder(store, "cv"), grid("cv", ["seeds=0..1"]))
    made.path.mkdir(parents=True)
    made.save()
    (made.path / "table.md").write_text("table")
    return load_config("demo", [f"store={store}"]), made


def test_a_server_that_is_away_stops_no_sweep(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _, sweep = sweep_in(tmp_path)
    away = load_config("demo", [f"store={tmp_path}", "tracking.uri=http://127.0.0.1:9"])
    assert make_parent_run(away, sweep) is None
    assert "MLflow cannot be reached" in caplog.text and "dual-hpc sweep --show cv" in caplog.text
    delete_parent_run(away, "x" * 32)
    assert "left behind" in caplog.text
    with pytest.raises(UserError, match="neither sqlite"):
        make_parent_run(load_config("demo", [f"store={tmp_path}", "tracking.uri=ftp://x"]), sweep)


def test_a_sweep_that_was_submitted_without_mlflow_is_grouped_when_its_table_is_shown(tmp_path: Path) -> None:
    config, sweep = sweep_in(tmp_path)
    store = store_of(config)
    with store.client() as client:
        experiment = experiment_id(client, store, config.tracking.experiment)
        members = [client.create_run(experiment, run_name=m.name, tags={SWEEP_TAG: "cv"}) for m in sweep.sweep.members]
        stranger = client.create_run(experiment, run_name="other", tags={SWEEP_TAG: "cv"})
    for _ in range(2):
        log_to_mlflow(config, sweep, rows_of(sweep), ["table.md"])
    with store.client() as client:
        parents = {client.get_run(run.info.run_id).data.tags[PARENT_TAG] for run in members}
        assert len(parents) == 1, "made once"
        assert PARENT_TAG not in client.get_run(stranger.info.run_id).data.tags
        assert [file.path for file in client.list_artifacts(parents.pop())] == ["table.md"]


def test_the_run_of_a_new_sweep_is_made_at_once_and_used_later(tmp_path: Path) -> None:
    config, sweep = sweep_in(tmp_path)
    parent = make_parent_run(config, sweep)
    assert parent is not None
    config.tracking.tags[PARENT_TAG] = parent
    log_to_mlflow(config, sweep, rows_of(sweep), ["table.md"])
    with store_of(config).client() as client:
        assert client.get_run(parent).info.status == "RUNNING"
    delete_parent_run(config, parent)
    with store_of(config).client() as client:
        assert client.get_run(parent).info.lifecycle_stage == "deleted"
