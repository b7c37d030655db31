"""A run from the queue to its end, undisturbed and disturbed: preempted, signalled in its first moments, stopped,
robbed of a node. However it went, the final weights are those of the undisturbed run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dual_hpc.run.names import CODE_ARCHIVE
from launch.cluster.profiles import FOLDER
from launch.records import submissions
from tests.slurm.observe import (
    assert_undisturbed,
    continuations,
    crashed,
    ends,
    has_namespaces,
    listening,
    needs_namespaces,
    nodes_taken,
    slurm,
    starts,
    step_of,
)

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]


def test_a_run_on_two_nodes_is_queued_runs_and_finishes(cluster: Any) -> None:
    with nodes_taken("main"):
        run = cluster.submit("undisturbed")
        queued = cluster.status("undisturbed")
        assert (queued["state"], queued["slurm_state"], queued["step"]) == ("queued", "PENDING", 0)
        assert cluster.why("undisturbed")["cause"] == "queued"
        assert "no logs yet" in cluster.dual("logs", "undisturbed", code=2)
        assert "is queued" in cluster.dual("submit", "--run", run.path, code=2)

    cluster.until("two ranks wrote their logs", lambda: len(list(run.logs.glob("rank_*.log"))) == 2)
    running = cluster.status("undisturbed")
    assert (running["state"], running["slurm_state"], running["job_id"]) == ("running", "RUNNING", queued["job_id"])
    assert len(slurm("scontrol", "show", "hostnames", running["nodes"]).split()) == 2
    cluster.until("it trains", lambda: step_of(run) >= 1)
    if has_namespaces():
        own = {name: {f"10.77.0.{10 + int(name[1:])}"} for name in cluster.nodes(run)}  # n1 is 10.77.0.11
        assert len(own) == 2 and {name: listening(name) for name in own} == own
    cluster.finish(run)

    done = cluster.status("undisturbed")
    assert (done["state"], done["step"], done["total"], done["segments"]) == ("finished", 40, 40, 1)
    assert cluster.why("undisturbed")["cause"] == "finished"
    assert "training finished at step 40" in cluster.dual("logs", "undisturbed")
    assert {segment.world_size for segment in run.segments()} == {2}
    assert (run.path / CODE_ARCHIVE).stat().st_size > 10_000
    assert_undisturbed(run, run)


def test_a_preempted_run_goes_back_into_the_queue_and_loses_nothing(cluster: Any) -> None:
    run = cluster.submit("preempted", "launch.partition=low")
    cluster.until("it trains", lambda: step_of(run) >= 3)
    with nodes_taken("high"):
        cluster.until("it left its nodes", lambda: cluster.queue(run) == "PENDING")
        assert ("requeue", "preempted") in continuations(run)
    cluster.finish(run)
    (stopped, at), finished = ends(run)
    assert stopped == "stopped" and starts(run) == [0, at] and finished == ("finished", 40)
    assert_undisturbed(run, cluster.reference())


@pytest.mark.slow
def test_a_signal_of_the_first_moments_is_heard_and_another_job_takes_over(cluster: Any, tmp_path: Path) -> None:
    """Where jobs may not be requeued; submitit's own handler would have tried that, and failed the job."""
    profile = tmp_path / "strict.yaml"
    profile.write_text((FOLDER / "dev.yaml").read_text() + "requeue: false\n")
    run = cluster.submit("chained", f"launch.profile={profile}")
    cluster.until("its ranks have begun", lambda: len(list(run.logs.glob("rank_*.log"))) == 2)
    profile.unlink()  # what was asked for is in the run directory
    slurm("scancel", "--signal=USR2", cluster.job(run))
    cluster.finish(run)
    assert len(submissions.jobs(submissions.read(run.path))) == 2
    assert continuations(run) == [("submit", None), ("chain", "signal")]
    assert [reason for reason, _ in ends(run)] == ["stopped", "finished"]
    assert_undisturbed(run, cluster.reference())


@pytest.mark.slow
def test_a_run_that_is_stopped_resumed_and_robbed_of_a_node_loses_only_steps(cluster: Any) -> None:
    run = cluster.submit("robbed")
    cluster.until("it trains", lambda: step_of(run) >= 3)
    cluster.dual("stop", "robbed")
    cluster.until("it stops", lambda: ends(run) and cluster.queue(run) not in ("RUNNING", "COMPLETING"))
    assert cluster.status("robbed")["state"] == "stopped" and cluster.why("robbed")["cause"] == "stopped"
    assert continuations(run)[-1] == ("leave", "stopped by the user")
    cluster.dual("resume", "robbed")
    needs_namespaces()
    stopped_at = ends(run)[0][1]
    cluster.until("a checkpoint stands", lambda: cluster.checkpoint(run) > stopped_at)
    with crashed(cluster, cluster.nodes(run)[1]):
        cluster.finish(run)
    first, second, third = starts(run)
    assert first == 0 and second == stopped_at and third % 10 == 0 and third > second
    assert_undisturbed(run, cluster.reference())
