"""A cancelled job never rises again, wherever the cancellation met it; one that is signalled goes on, however often:
`make slurm-long`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.run.directory import RunDir
from launch.records import submissions
from launch.records.log_markers import JOB_START_MARKER
from tests.slurm.observe import assert_undisturbed, continuations, ends, profile, slurm, starts, step_of

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(1800)]


def settle(cluster: Any, run: RunDir) -> str:
    """The state of the run's job once a job that was put back into the queue would have begun again."""
    cluster.until("it left the nodes", lambda: cluster.queue(run) not in ("RUNNING", "COMPLETING"))
    lives = len(starts(run))
    probe = slurm("sbatch", "--parsable", "--wait", "--output=/dev/null", "--begin=now+20", "--wrap=true").strip()
    assert probe and len(starts(run)) == lives
    return str(cluster.queue(run))


def test_cancelled_while_it_saves(cluster: Any) -> None:
    reference = cluster.reference()
    run = cluster.submit("axed", "checkpoint.every_steps=1")  # it hardly does anything else
    cluster.until("it saves", lambda: step_of(run) >= 3)
    slurm("scancel", cluster.job(run))
    assert settle(cluster, run) == "CANCELLED"
    assert cluster.why("axed")["cause"] == "cancelled" and cluster.status("axed")["state"] == "cancelled"
    assert [event for event, _ in continuations(run) if event in ("requeue", "chain")] == []
    cluster.dual("resume", "axed")
    cluster.finish(run)
    assert_undisturbed(run, reference)


def test_cancelled_while_it_waits_for_the_job_before(cluster: Any, tmp_path: Path) -> None:
    run = cluster.submit("heir", profile(tmp_path, "strict", "requeue: false"))
    cluster.until("it trains", lambda: step_of(run) >= 3)
    first = cluster.job(run)
    slurm("scancel", "--signal=USR2", first)
    cluster.until("its heir waits", lambda: cluster.job(run) != first)
    slurm("scancel", cluster.job(run))
    assert settle(cluster, run) == "CANCELLED"
    assert cluster.why("heir")["cause"] == "cancelled" and cluster.status("heir")["state"] == "cancelled"


def test_a_member_cancelled_while_it_waits_for_its_turn(cluster: Any) -> None:
    cluster.sweep("row", "--grid", "seeds=0..1", "--parallel", 1, "training.max_steps=2", "launch.nodes=1")
    folder = cluster.store / "runs"
    member = submissions.last_job(submissions.read(folder / "row.seed-1"))
    slurm("scancel", str(member))
    shown = json.loads(cluster.dual("sweep", "--show", "row", "--json"))["members"]
    assert [found["state"] for found in shown][1] == "cancelled"
    assert cluster.why("row.seed-1")["cause"] == "cancelled"


def begun(run: RunDir) -> int:
    """How often rank 0 has begun; seconds later it listens to signals."""
    log = run.logs / "rank_0000.log"
    return log.read_text().count(JOB_START_MARKER) if log.exists() else 0


def test_signalled_in_its_first_moments_again_and_again(cluster: Any) -> None:
    run = cluster.submit("nervous")
    for life in (1, 2, 3):
        cluster.until(f"it begins for the {life}. time", lambda life=life: begun(run) >= life)
        slurm("scancel", "--signal=USR2", cluster.job(run))
        cluster.until(f"it was told {life} times", lambda life=life: len(continuations(run)) == 1 + life)
    cluster.finish(run)
    assert continuations(run) == [("submit", None), *[("requeue", "signal")] * 3]
    assert [reason for reason, _ in ends(run)] == ["stopped"] * 3 + ["finished"]
    assert_undisturbed(run, cluster.reference())


def test_stopped_in_its_first_moments(cluster: Any) -> None:
    run = cluster.submit("hushed")
    cluster.until("its ranks have begun", lambda: list(run.logs.glob("rank_*.log")))
    cluster.dual("stop", "hushed")
    settle(cluster, run)
    assert continuations(run)[-1] == ("leave", "stopped by the user") and len(starts(run)) == 1
    assert cluster.why("hushed")["cause"] == "stopped"
