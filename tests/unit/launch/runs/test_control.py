"""Which process `stop` and `cancel` signal: the controller of the run, whatever the run directory says."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dual_hpc.run.directory import RunDir
from launch.runs.control import _signal_controller


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    found = RunDir(tmp_path / "store" / "runs" / "mine")
    found.logs.mkdir(parents=True)
    return found


@pytest.fixture
def controller(run: RunDir) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose command line is that of the run's controller."""
    program = "import time; print('up', flush=True); time.sleep(600)"
    command = [sys.executable, "-c", program, "launch.local", str(run.logs)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"up\n"
        yield process
        process.kill()


def test_the_controller_of_another_run_is_left_alone(
    run: RunDir, controller: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    other = RunDir(tmp_path / "store" / "runs" / "theirs")
    other.logs.mkdir(parents=True)
    assert not _signal_controller(other, str(controller.pid), signal.SIGKILL)
    assert controller.poll() is None
    (tmp_path / "link").symlink_to(tmp_path / "store")
    same = RunDir(tmp_path / "link" / "runs" / "mine")
    assert _signal_controller(same, str(controller.pid), signal.SIGKILL)
    assert controller.wait(60) == -signal.SIGKILL


@pytest.mark.parametrize("job_id", ["", "self", "../self", "999999999", "-1", "12_3"])
def test_what_is_no_process_is_not_signalled(job_id: str, run: RunDir) -> None:
    assert not _signal_controller(run, job_id, signal.SIGKILL)
