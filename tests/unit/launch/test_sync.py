"""`dual-hpc sync`: one run that fails keeps no other from being synchronised."""

from __future__ import annotations

from pathlib import Path

import pytest

from dual_hpc.config import load_config
from dual_hpc.run.directory import RunDir
from dual_hpc.tracking.mlflow_store import Store
from launch.cli.main import main


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
