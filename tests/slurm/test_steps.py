"""A shell on a node of a run, the stacks of its ranks, and a rank that is killed there."""

from __future__ import annotations

from typing import Any

import pytest

from tests.slurm.observe import needs_namespaces, step_of

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(900)]


def test_shell_and_stacks_reach_every_node_and_a_killed_rank_is_named(cluster: Any) -> None:
    needs_namespaces()
    run = cluster.submit(
        "visited", "training.max_steps=4000", "checkpoint.every_steps=100000"
    )  # so it is not continued
    cluster.until("it trains", lambda: step_of(run) >= 1)
    second = cluster.nodes(run)[1]
    assert cluster.dual("shell", "visited", "--node", second, "--", "hostname").strip() == second
    before = step_of(run)
    said = cluster.dual("stacks", "visited")
    assert said.count("Current thread") == 2 and "== rank_0001.log" in said
    cluster.until("it goes on", lambda: step_of(run) > before)
    kill = "kill -9 $(pgrep -f submitit.core.[_]submit | head -1)"
    cluster.dual("shell", "visited", "--node", second, "--", "sh", "-c", kill)
    cluster.until("it has failed", lambda: cluster.status("visited")["state"] == "failed")
    why = cluster.why("visited")
    assert why["cause"] == "killed" and f"on {second} was killed by signal 9" in why["sentence"]
    assert "core-hours" in cluster.dual("status", "visited")
