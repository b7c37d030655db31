"""A node loses its slurmd, its processes live: Slurm starts the job elsewhere, and the zombie publishes nothing:
`make slurm-long`.
"""

from __future__ import annotations

from typing import Any

import pytest

from dual_hpc.run.journal import read
from launch.records import submissions
from tests.slurm.observe import is_in, listening, needs_namespaces, node, starts, step_of

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(1800)]


def test_a_zombie_of_a_lost_node_publishes_nothing(cluster: Any) -> None:
    needs_namespaces()
    length = ("launch.nodes=1", "training.epochs=1000000", "checkpoint.every_steps=100", "training.max_steps=20000")
    run = cluster.submit("haunted", *length)
    cluster.until("a checkpoint stands", lambda: cluster.checkpoint(run) >= 100)
    (victim,) = cluster.nodes(run)
    assert listening(victim) == {"127.0.0.1"}  # ranks of one node need no network
    node("stop-slurmd", victim)
    try:
        cluster.until("Slurm started it elsewhere", lambda: len(starts(run)) == 2)
        said = "this run was taken over by job"
        cluster.until("the zombie noticed", lambda: said in (run.logs / "rank_0000.log").read_text())
    finally:
        cluster.until("Slurm noticed", lambda: is_in(victim, "down"))
        node("start", victim)
        cluster.until("the node is back", lambda: is_in(victim, "idle", "mixed", "allocated"))
    seen = step_of(run)
    cluster.until("it goes on", lambda: step_of(run) > seen)
    cluster.dual("cancel", "haunted")
    cluster.until("it has ended", lambda: cluster.queue(run) not in ("RUNNING", "COMPLETING"))
    # From the second start on the journal is one history: no step twice, none left out.
    second = [segment for segment in run.segments() if segment.event == "start"][1]
    later = [entry for entry in read(run.journal) if entry.time_ms > 1000 * second.time]
    told = [entry.step for entry in later if "train/loss" in entry.metrics]
    assert told == list(range(second.step + 1, second.step + 1 + len(told)))
    assert [entry.event for entry in submissions.read(run.path)][:2] == ["submit", "cancel"]
