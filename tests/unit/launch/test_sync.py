"""`dual-hpc sync`: one run that fails keeps no other from being synchronised."""

from __future__ import annotations

from pathlib import Path

import pytest

from dual_hpc.config import load_config
from dual_hpc.run.directory import RunDir, Segment
from dual_hpc.tracking.mlflow_store import Store
from dual_hpc.tracking.mlflow_sync import sync
from launch.cli.main import main
from launch.cluster.profiles import load_profile
from launch.job.on_failure import end_in_mlflow
from launch.records import submissions
from launch.records.failures import Failure, record


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three runs, of which the second keeps its MLflow where nothing can be kept."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DUAL_STORE", str(tmp_path))
    for name in ("a", "b", "c"):
        uri = "sqlite:////dev/null/mlflow.db" if name == "b" else f"sqlite:///{tmp_path}/mlflow.db"
        config = load_config("demo", [f"name={name}", f"store={tmp_path}", f"tracking.uri={uri}"])
        RunDir.create(tmp_path / "runs" / name, config)
    return tmp_path


def test_the_others_go_on_and_the_one_that_failed_is_named(store: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["sync"]) == 1
    shown = capfd.readouterr()
    assert shown.out == "2 runs are up to date in MLflow\n"
    lines = [line for line in shown.err.splitlines() if line.startswith("dual-hpc: ")]
    assert len(lines) == 2 and "MLflow was not updated for b: " in lines[0] and "1 of 3 runs" in lines[1]
    with Store(f"sqlite:///{store}/mlflow.db", store / "mlflow.db").client() as client:
        found = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert sorted(run.info.run_name for run in found) == ["a", "c"]


def test_a_single_run_that_fails_is_one_line(store: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["sync", "b"]) == 1
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("dual-hpc: ")]
    assert len(lines) == 1 and "MLflow was not updated for b: " in lines[0]


def test_damaged_runs_are_a_users_error(store: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b", "c"):
        (store / "runs" / name / "config.yaml").write_text("training: 3\n")
    assert main(["sync"]) == 2
    assert "3 of 3 runs" in capfd.readouterr().err


def test_a_run_whose_ranks_were_killed_ends_in_mlflow_as_well_and_runs_again_when_it_is_resumed(store: Path) -> None:
    run = RunDir.open(store / "runs" / "a")
    request = load_config("demo", []).launch
    entry = submissions.Entry(event="submit", job_id="7", request=request, profile=load_profile("local"))
    submissions.record(run.path, entry)
    run.append_segment(Segment(event="start", job_id="7"))

    def status() -> tuple[str, bool]:
        with Store(f"sqlite:///{store}/mlflow.db", store / "mlflow.db").client() as client:
            (found,) = client.search_runs([e.experiment_id for e in client.search_experiments()])
        return found.info.status, found.info.end_time is not None

    record(run.logs, Failure(job_id="7", rank=0, host="n1", message="killed by SIGKILL", exit_code=1, log="/l"))
    assert main(["sync", "a"]) == 0 and status() == ("FAILED", True)
    run.append_segment(Segment(event="start", job_id="8"))
    sync(run)
    assert status()[0] == "RUNNING"
    submissions.record(run.path, submissions.Entry(event="cancel", job_id="7"))
    assert main(["sync", "a"]) == 0 and status() == ("KILLED", True)
    end_in_mlflow(run, "failed")
    assert status()[0] == "FAILED"


def test_a_job_that_ends_without_mlflow_ends(store: Path, capfd: pytest.CaptureFixture[str]) -> None:
    end_in_mlflow(RunDir.open(store / "runs" / "b"), "failed")
    assert "MLflow is not up to date" in capfd.readouterr().err
