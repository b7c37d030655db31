"""Steps within a run's job: what is handed to srun. The real one: tests/slurm/test_steps.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from dual_hpc.config import load_config
from dual_hpc.errors import UserError
from dual_hpc.run.directory import RunDir
from launch.cluster.state import State
from launch.runs.status import RunStatus
from launch.runs.steps import collect_stacks, shell_command


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir.create(tmp_path / "runs" / "trial", load_config("demo", [f"store={tmp_path}"]))


def test_a_shell_is_a_step_beside_the_ranks(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/zsh")
    status = RunStatus(State.RUNNING, "7_1", None, local=False, active=True)
    step = ["srun", "--jobid=7_1", "--overlap", "--nodes=1", "--ntasks=1"]
    assert shell_command(run, status, None, []) == [*step, "/bin/zsh", "-l"]
    assert shell_command(run, status, "n2", ["nvidia-smi", "-l"]) == [*step, "--nodelist=n2", "nvidia-smi", "-l"]


@pytest.mark.parametrize("state", [State.QUEUED, State.FINISHED, State.SILENT])
def test_what_does_not_run_has_neither_shell_nor_stacks(run: RunDir, state: State) -> None:
    status = RunStatus(state, "7", None, local=False, active=state is State.QUEUED)
    with pytest.raises(UserError, match="no job of trial runs"):
        shell_command(run, status, None, [])
    with pytest.raises(UserError, match="no job of trial runs"):
        collect_stacks(run, status)


def test_a_local_run_has_no_other_node(run: RunDir) -> None:
    with pytest.raises(UserError, match="processes of this machine"):
        shell_command(run, RunStatus(State.RUNNING, "7", None, local=True, active=True), None, [])
