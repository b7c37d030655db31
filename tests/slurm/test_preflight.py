"""A node that is not fit is named, and the job goes on without it: `make slurm-long`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from launch.records import submissions
from tests.slurm.observe import assert_undisturbed, needs_namespaces, node, profile, slurm

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(1800)]


def shared_memory(name: str, size: str) -> None:
    node("exec", name, "mount", "-o", f"remount,size={size}", "/dev/shm")


def idle() -> int:
    words = ("sinfo", "--noheader", "--Node", "--partition=main", "--states=idle", "--format=%N")
    return len(slurm(*words).split())


def test_a_node_without_shared_memory_is_excluded(cluster: Any) -> None:
    needs_namespaces()
    cluster.until("all nodes are free", lambda: idle() == 4)  # Slurm takes the first ones then
    shared_memory("n1", "1m")
    try:
        run = cluster.submit("picky", "training.max_steps=2")
        cluster.finish(run)
    finally:
        shared_memory("n1", "2g")
    (chained,) = [entry for entry in submissions.read(run.path) if entry.event == "chain"]
    assert (chained.cause, chained.bad_nodes) == ("bad node", ["n1"])
    assert "n1" not in cluster.nodes(run)
    assert cluster.why("picky")["cause"] == "finished"


def test_where_every_node_of_a_job_is_unfit_none_is_excluded(cluster: Any) -> None:
    needs_namespaces()
    cluster.until("all nodes are free", lambda: idle() == 4)
    for name in ("n1", "n2"):
        shared_memory(name, "1m")
    try:
        run = cluster.submit("hopeless", "training.max_steps=2")
        cluster.until("it is given up", lambda: submissions.read(run.path)[-1].event == "leave")
    finally:
        for name in ("n1", "n2"):
            shared_memory(name, "2g")
    assert submissions.read(run.path)[-1].cause == submissions.EVERY_NODE_BAD
    found = cluster.why("hopeless")
    assert found["cause"] == "bad nodes" and "node n1, n2 is not fit at step 0: /dev/shm has only" in found["sentence"]


def test_a_silent_node_is_named_and_the_job_goes_on_without_it(cluster: Any, tmp_path: Path) -> None:
    needs_namespaces()
    cluster.until("all nodes are free", lambda: idle() == 4)
    run = cluster.submit("deaf", profile(tmp_path, "impatient", "answer_seconds: 60"))
    cluster.until("its ranks have begun", lambda: (run.logs / "rank_0001.log").exists())
    silent = cluster.nodes(run)[1]
    node("exec", silent, "sh", "-c", "kill -STOP $(pgrep -f submitit.core.[_]submit)")
    cluster.finish(run, 900)
    (chained,) = [entry for entry in submissions.read(run.path) if entry.event == "chain"]
    assert (chained.cause, chained.bad_nodes) == ("bad node", [silent])
    assert f"node {silent}: no answer" in (run.logs / "failures.jsonl").read_text()
    assert silent not in cluster.nodes(run)
    assert_undisturbed(run, cluster.reference())
