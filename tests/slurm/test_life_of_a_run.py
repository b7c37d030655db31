"""A run from the queue to its end, undisturbed and disturbed: preempted, stopped, continued by another job, robbed of a
node. However it went, the final weights are those of the undisturbed run.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.tracking.journal import read
from dual_hpc.tracking.mlflow_store import store_of
from dual_hpc.tracking.run_dir import RunDir
from launch import history
from launch.profiles import FOLDER
from launch.snapshot import ARCHIVE

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]
DEVCLUSTER = Path(__file__).resolve().parents[2] / "slurm" / "devcluster"


def slurm(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout


@contextmanager
def nodes_taken(partition: str) -> Iterator[None]:
    """Another user's job on all nodes."""
    options = (f"--partition={partition}", "--nodes=4", "--exclusive", "--output=/dev/null", "--wrap=sleep 300")
    blocker = slurm("sbatch", "--parsable", *options).strip()
    try:
        yield
    finally:
        slurm("scancel", blocker)


def step_of(run: RunDir) -> int:
    return max((entry.step or 0 for entry in read(run.journal)), default=0)


def weights(run: RunDir) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(run.exports / "last" / "model.safetensors")


def assert_undisturbed(run: RunDir, reference: RunDir) -> None:
    """Bit for bit the weights of the reference, and one MLflow run."""
    found, expected = weights(run), weights(reference)
    assert found.keys() == expected.keys()
    assert [name for name in expected if not bool((found[name] == expected[name]).all())] == []
    with store_of(run.config()).client() as client:
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        query = f"tags.`dual.run_id` = '{run.identity().run_id}'"
        (one,) = client.search_runs(experiments, query)
    assert one.info.status == "FINISHED"


def ends(run: RunDir) -> list[tuple[str | None, int]]:
    return [(segment.reason, segment.step) for segment in run.segments() if segment.event == "end"]


def starts(run: RunDir) -> list[int]:
    return [segment.step for segment in run.segments() if segment.event == "start"]


def continuations(run: RunDir) -> list[tuple[str, str | None]]:
    return [(entry.event, entry.cause) for entry in history.read(run.path)]


def test_a_run_on_two_nodes_is_queued_runs_and_finishes(cluster: Any) -> None:
    with nodes_taken("main"):
        run = cluster.submit("undisturbed")
        queued = cluster.status("undisturbed")
        assert (queued["state"], queued["slurm_state"], queued["step"]) == ("queued", "PENDING", 0)
        assert cluster.why("undisturbed")["cause"] == "queued"
        assert "no logs yet" in cluster.dual("logs", "undisturbed", code=2)
        assert "is pending" in cluster.dual("submit", "--run", run.path, code=2)

    cluster.until("two ranks wrote their logs", lambda: len(list(run.logs.glob("rank_*.log"))) == 2)
    running = cluster.status("undisturbed")
    assert (running["state"], running["slurm_state"], running["job_id"]) == ("running", "RUNNING", queued["job_id"])
    assert len(slurm("scontrol", "show", "hostnames", running["nodes"]).split()) == 2
    assert cluster.why("undisturbed")["cause"] == "running"
    cluster.finish(run)

    done = cluster.status("undisturbed")
    assert (done["state"], done["step"], done["total"], done["segments"]) == ("finished", 40, 40, 1)
    assert cluster.why("undisturbed")["cause"] == "finished"
    assert "training finished at step 40" in cluster.dual("logs", "undisturbed")
    assert {segment.world_size for segment in run.segments()} == {2}
    assert (run.path / ARCHIVE).stat().st_size > 10_000
    assert_undisturbed(run, run)


def test_a_preempted_run_goes_back_into_the_queue_and_loses_nothing(cluster: Any) -> None:
    run = cluster.submit("preempted", "launch.partition=low")
    cluster.until("it trains", lambda: step_of(run) >= 3)
    with nodes_taken("high"):
        cluster.until("it left its nodes", lambda: cluster.status("preempted")["slurm_state"] == "PENDING")
        assert ("requeue", "preempted") in continuations(run)
    cluster.finish(run)
    (stopped, at), finished = ends(run)
    assert stopped == "stopped" and starts(run) == [0, at] and finished == ("finished", 40)
    assert_undisturbed(run, cluster.reference())


def test_where_jobs_may_not_be_requeued_another_one_takes_over(cluster: Any, tmp_path: Path) -> None:
    profile = tmp_path / "strict.yaml"
    profile.write_text((FOLDER / "dev.yaml").read_text() + "requeue: false\n")
    run = cluster.submit("chained", f"launch.profile={profile}")
    cluster.until("it trains", lambda: step_of(run) >= 3)
    profile.unlink()  # what was asked for is in the run directory
    slurm("scancel", "--signal=USR2", cluster.status("chained")["job_id"])
    cluster.finish(run)
    assert len(history.jobs(history.read(run.path))) == 2
    assert [event for event, _ in continuations(run)] == ["submit", "chain"]
    assert [reason for reason, _ in ends(run)] == ["stopped", "finished"]
    assert_undisturbed(run, cluster.reference())


def test_a_run_that_is_stopped_stays_so_until_it_is_resumed(cluster: Any) -> None:
    run = cluster.submit("paused")
    cluster.until("it trains", lambda: step_of(run) >= 3)
    cluster.dual("stop", "paused")
    cluster.until(
        "it stops", lambda: ends(run) and cluster.status("paused")["slurm_state"] not in ("RUNNING", "COMPLETING")
    )
    assert cluster.status("paused")["state"] == "stopped" and cluster.why("paused")["cause"] == "stopped"
    assert continuations(run)[-1] == ("leave", "stopped by the user")
    cluster.dual("resume", "paused")
    cluster.finish(run)
    assert_undisturbed(run, cluster.reference())


def test_a_lost_node_costs_the_steps_since_the_checkpoint(cluster: Any) -> None:
    run = cluster.submit("robbed")
    cluster.until("a checkpoint stands", lambda: any(run.checkpoints.glob("step_*0/manifest.json")))
    victim = slurm("scontrol", "show", "hostnames", cluster.status("robbed")["nodes"]).split()[1]
    subprocess.run([DEVCLUSTER / "node", "crash", victim], check=True, timeout=60)
    try:
        cluster.until("Slurm noticed", lambda: "down" in slurm("sinfo", "-h", "-n", victim, "-o", "%T"))
        cluster.finish(run)
    finally:
        subprocess.run([DEVCLUSTER / "node", "start", victim, f"10.77.0.1{victim[1:]}"], check=True, timeout=60)
        cluster.until("the node is back", lambda: "idle" in slurm("sinfo", "-h", "-n", victim, "-o", "%T"), 120)
    assert len(starts(run)) == 2 and starts(run)[1] % 10 == 0 and starts(run)[1] > 0
    assert_undisturbed(run, cluster.reference())
