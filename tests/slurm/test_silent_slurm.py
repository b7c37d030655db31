"""A Slurm whose commands time out, and an sbatch that is accepted without saying so, on the real one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.slurm.observe import continuations, ends, slurm, starts, step_of

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(900)]


def failing(folder: Path, name: str, before: str) -> None:
    """Put a program before one of Slurm's: `before` runs first, with $n counting the calls, and may end it."""
    real = shutil.which(name)
    assert real is not None
    error = f'silent() {{ echo "{name}: error: Socket timed out on send/recv operation" >&2; exit 1; }}'
    count = f"echo x >> {folder}/{name}.n; n=$(wc -l < {folder}/{name}.n)"
    script = "\n".join(["#!/bin/bash", error, count, before, f'exec {real} "$@"', ""])
    (folder / name).write_text(script)
    (folder / name).chmod(0o755)


def test_a_run_goes_on_though_slurm_timed_out_when_it_was_asked(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its job inherits the path, and so the commands that fail: sbatch is accepted silently, scontrol fails twice."""
    failing(tmp_path, "sbatch", f'{shutil.which("sbatch")} "$@" > /dev/null; silent')
    failing(tmp_path, "scontrol", "[ $n -gt 2 ] || silent; [ $n -ne 4 ] || silent")
    failing(tmp_path, "squeue", "[ $n -ne 1 ] || silent; echo 'CLUSTER: dev'; echo; echo 'maintenance | on | Monday'")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("SQUEUE_FORMAT", "%i")
    monkeypatch.setenv("SQUEUE_STATES", "SUSPENDED")
    run = cluster.submit("deafened", "launch.nodes=1", "training.max_steps=200")
    assert (tmp_path / "sbatch.n").read_text() == "x\n", "it was submitted once"
    cluster.until("it trains", lambda: step_of(run) >= 3)
    slurm("scancel", "--full", "--signal=USR2", cluster.job(run))  # the batch script gets it as well
    cluster.until("it is started again", lambda: len(starts(run)) == 2)
    assert continuations(run)[:2] == [("submit", None), ("requeue", "signal")]
    assert cluster.status("deafened")["state"] == "running"
    said = cluster.dual("stop", "deafened")
    assert "saves and stops" in said
    assert "was asked to stop at" in cluster.dual("stop", "deafened")
    cluster.until("it stops", lambda: [reason for reason, _ in ends(run)] == ["stopped", "stopped"])
    cluster.until("its state says so", lambda: cluster.why("deafened")["state"] == "stopped")
