"""One run from the queue to its end, seen through the command at each point."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from dual_hpc.tracking.mlflow_store import store_of
from launch.snapshot import ARCHIVE

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]


def slurm(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout


@contextmanager
def all_nodes_taken() -> Iterator[None]:
    blocker = slurm(
        "sbatch", "--parsable", "--nodes=4", "--exclusive", "--output=/dev/null", "--wrap=sleep 300"
    ).strip()
    try:
        yield
    finally:
        slurm("scancel", blocker)


def test_a_run_on_two_nodes_is_queued_runs_and_finishes(cluster: Any) -> None:
    with all_nodes_taken():
        run = cluster.submit("trial", "training.max_steps=6")
        queued = cluster.status("trial")
        assert (queued["state"], queued["slurm_state"], queued["step"]) == ("queued", "PENDING", 0)
        assert cluster.why("trial")["cause"] == "queued"
        assert "no logs yet" in cluster.dual("logs", "trial", code=2)
        assert "is pending" in cluster.dual("submit", "--run", run.path, "launch.profile=dev", code=2)
    job = queued["job_id"]

    cluster.until("two ranks wrote their logs", lambda: len(list(run.logs.glob("rank_*.log"))) == 2)
    running = cluster.status("trial")
    assert (running["state"], running["slurm_state"], running["job_id"]) == ("running", "RUNNING", job)
    assert len(slurm("scontrol", "show", "hostnames", running["nodes"]).split()) == 2
    assert cluster.why("trial")["cause"] == "running"
    cluster.finish(run)

    done = cluster.status("trial")
    assert (done["state"], done["step"], done["total"], done["segments"]) == ("finished", 6, 6, 1)
    assert cluster.why("trial")["cause"] == "finished"
    assert "training finished at step 6" in cluster.dual("logs", "trial")
    assert {segment.world_size for segment in run.segments()} == {2}
    assert job in {segment.job_id for segment in run.segments()}
    assert (run.path / ARCHIVE).stat().st_size > 10_000
    with store_of(run.config()).client() as client:
        found = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    assert [one.data.tags["dual.run_id"] for one in found] == [run.identity().run_id]
    assert found[0].info.status == "FINISHED"
