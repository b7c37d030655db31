"""Contract 11: a run that was submitted by earlier code is stopped, explained, resumed and evaluated by today's.

The earlier code is that of the last commit before launch/ was divided into rooms, taken from git's history: its local
controller, its pickles and its archive are the real ones.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import read, replay
from launch.records import submissions
from launch.runs.status import controller_lives
from tests.distributed.conftest import SMALLEST

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(1800)]
ROOT = Path(__file__).resolve().parents[2]
BEFORE_THE_MOVE = "0813ad04162516a76d321f579a10faaf26db47f0"
STEPS = 150
# Long enough to be stopped twice. The longer epochs are, the fewer validations and saves the steps have to wait for.
SETTINGS = (*SMALLEST, "name=old", "training.epochs=1000", f"training.max_steps={STEPS}", "training.validate_every=25")


@pytest.fixture(scope="module")
def old_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages as they were."""
    packages = ("dual_hpc", "launch", "shards", "slurm")
    done = subprocess.run(["git", "-C", ROOT, "archive", BEFORE_THE_MOVE, *packages], capture_output=True)
    if done.returncode != 0:
        lack = f"the history has no commit {BEFORE_THE_MOVE[:7]} (a shallow clone, or no clone at all)"
        if os.environ.get("DUAL_REQUIRE_HISTORY"):
            pytest.fail(f"{lack}: fetch the whole history, as in `git fetch --unshallow`")
        pytest.skip(lack)
    folder = tmp_path_factory.mktemp("old_code")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def dual_hpc(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """`dual-hpc VERB ...` as a process of its own, with the code of a folder; its standard output."""
    home = tmp_path_factory.mktemp("home")

    def call(code: Path, *words: object) -> str:
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("SLURM_", "PYTEST_"))},
            **{"PYTHONPATH": str(code), "DUAL_STORE": str(home / "store"), "XDG_STATE_HOME": str(home / "state")},
            **{"CUDA_VISIBLE_DEVICES": "", "DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1"},
        }
        command = [sys.executable, "-m", "launch.cli.main", *map(str, words)]
        done = subprocess.run(command, cwd=code, env=environment, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, f"dual-hpc {words}: {done.stderr[-3000:]}"
        return done.stdout

    return call


def until(what: str, holds: Callable[[], bool], run: RunDir, seconds: float = 600) -> None:
    """Wait; a job that ends before that, and a wait that is too long, fail with the ranks' logs."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline or (not controller_lives(run) and not holds()):
            logs = "\n".join(path.read_text(errors="replace")[-2000:] for path in sorted(run.logs.glob("*.log")))
            raise AssertionError(f"not within {seconds:.0f} s, or the job has ended: {what}\n{logs}")
        time.sleep(0.2)


@contextlib.contextmanager
def killed_at_the_end(run: RunDir) -> Iterator[RunDir]:
    """Nothing of a test that fails goes on training."""
    try:
        yield run
    finally:
        job = submissions.last_job(submissions.read(run.path))
        if controller_lives(run) and job is not None:
            os.kill(int(job), signal.SIGKILL)  # its ranks die with it


def steps_done(run: RunDir) -> int:
    return max(replay(read(run.journal)).get("train/loss", {}), default=0)


def test_a_run_of_earlier_code_goes_on_under_todays(
    old_code: Path, dual_hpc: Callable[..., str], tiny_shards: Path, tmp_path: Path
) -> None:
    submitted = ("submit", "--preset", "demo", "--shards", tiny_shards, "--json", *SETTINGS)
    path = json.loads(dual_hpc(old_code, *submitted, "launch.ranks_per_node=2"))["path"]
    with killed_at_the_end(RunDir(path)) as run:
        stop_explain_resume_finish(run, dual_hpc)
    report: dict[str, Any] = json.loads(dual_hpc(ROOT, "evaluate", run.path, "--split", "validation", "--json"))
    assert 0 <= report["subsets"]["av"]["ua"] <= 1
    listed = dual_hpc(ROOT, "ckpt", "ls", run.path)
    assert "step_00000150" in listed and "DAMAGED" not in listed
    assert "DAMAGED" not in dual_hpc(ROOT, "ckpt", "verify", run.path)
    exported = Path(dual_hpc(ROOT, "ckpt", "export", run.path, "--out", tmp_path / "model").strip())
    assert (exported / "model.safetensors").stat().st_size > 0


def stop_explain_resume_finish(run: RunDir, dual_hpc: Callable[..., str]) -> None:
    archived = (run.path / "code.zip").read_bytes()
    until("the old job trains", lambda: steps_done(run) >= 5, run)

    # The running controller and its ranks are the old code's; who asks them is today's.
    assert json.loads(dual_hpc(ROOT, "status", run.path, "--json"))["state"] == "running"
    dual_hpc(ROOT, "stop", run.path)
    until("the old job has ended", lambda: not controller_lives(run), run)
    assert [segment.reason for segment in run.segments()] == [None, "stopped"]
    why = json.loads(dual_hpc(ROOT, "why", run.path, "--json"))
    assert why["cause"] == "stopped" and "resume" in why["advice"], why

    # In a job that today's code submits and that runs the archived code, with another setting.
    first = steps_done(run)
    dual_hpc(ROOT, "resume", run.path, "checkpoint.every_steps=7")
    assert (run.path / "code.zip").read_bytes() == archived
    until("the archived code goes on", lambda: steps_done(run) >= first + 10, run)
    assert first < 0.8 * STEPS, "stopped too late to show anything"
    dual_hpc(ROOT, "stop", run.path)
    until("the archived code has stopped", lambda: not controller_lives(run), run)
    second = steps_done(run)
    assert [segment.reason for segment in run.segments()] == [None, "stopped"] * 2 and second < STEPS

    # With today's code in the job, to the end.
    dual_hpc(ROOT, "resume", run.path, "--new-code")
    assert (run.path / "code.zip").read_bytes() != archived
    assert (run.path / "code.previous.zip").read_bytes() == archived
    until("today's code has finished", lambda: not controller_lives(run), run)
    assert [segment.reason for segment in run.segments()] == [*[None, "stopped"] * 2, None, "finished"]
    assert list(replay(read(run.journal))["train/loss"]) == list(range(1, STEPS + 1))
    assert [segment.step for segment in run.segments() if segment.event == "start"] == [0, first, second]
    assert "finished" in dual_hpc(ROOT, "why", run.path)


def test_the_exported_weights_of_the_earlier_code_are_read(
    old_code: Path, dual_hpc: Callable[..., str], tiny_shards: Path, tmp_path: Path
) -> None:
    """A checkpoint and exports that no newer code has touched."""
    settings = (*SMALLEST, "name=done", "training.max_steps=4", "checkpoint.every_steps=2")
    submitted = ("submit", "--preset", "demo", "--shards", tiny_shards, "--json", *settings)
    run = RunDir(json.loads(dual_hpc(old_code, *submitted))["path"])
    with killed_at_the_end(run):
        until("the old job has ended", lambda: not controller_lives(run), run)
    assert [segment.reason for segment in run.segments()] == [None, "finished"]
    listed = dual_hpc(ROOT, "ckpt", "verify", run.path)
    assert listed.count("step_") == 2 and "DAMAGED" not in listed
    for checkpoint in ("best", "last"):
        dual_hpc(ROOT, "evaluate", run.path, "--checkpoint", checkpoint, "--split", "validation")
    dual_hpc(ROOT, "ckpt", "export", run.path, "--step", 2, "--out", tmp_path / "model")
    assert (tmp_path / "model" / "model.safetensors").exists()
    with pytest.raises(AssertionError, match="is finished"):
        dual_hpc(ROOT, "resume", run.path)
