"""A node that is not fit is named, and the job goes on without it: `make slurm-long`."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from launch import history

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]
NODE = Path(__file__).resolve().parents[2] / "slurm" / "devcluster" / "node"


def shared_memory(node: str, size: str) -> None:
    subprocess.run([NODE, "exec", node, "mount", "-o", f"remount,size={size}", "/dev/shm"], check=True, timeout=60)


def idle() -> int:
    words = ("sinfo", "--noheader", "--Node", "--partition=main", "--states=idle", "--format=%N")
    return len(subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout.split())


def test_a_node_without_shared_memory_is_excluded(cluster: Any) -> None:
    cluster.until("all nodes are free", lambda: idle() == 4)  # Slurm takes the first ones then
    for node in ("n1", "n2"):
        shared_memory(node, "1m")
    try:
        run = cluster.submit("picky", "training.max_steps=2")
        cluster.finish(run)
    finally:
        for node in ("n1", "n2"):
            shared_memory(node, "2g")
    requeued = [entry for entry in history.read(run.path) if entry.event == "requeue"]
    assert {entry.cause for entry in requeued} == {"bad node"}
    assert set(requeued[-1].bad_nodes) == {"n1", "n2"}
    assert cluster.why("picky")["cause"] == "finished"
