"""`dual-hpc why` for every way a run can end, each brought about on the real Slurm: `make slurm-long`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.slurm.observe import crashed, needs_namespaces, node, profile, slurm, step_of

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(1800)]
ALONE = ("launch.nodes=1", "training.max_steps=400")


def becomes(cluster: Any, name: str, cause: str) -> None:
    cluster.until(f"{name}: {cause}", lambda: cluster.why(name)["cause"] == cause, 600)


def test_ends_that_a_job_brings_about_itself(cluster: Any, tmp_path: Path) -> None:
    cluster.submit("greedy", *ALONE, profile(tmp_path, "small", "memory_per_cpu_mb: 40"))
    edited = cluster.submit("mistaken").config_file  # what can be refused before the job is
    edited.write_text(re.sub(r"global_batch: \d+", "global_batch: 9", edited.read_text()))
    cluster.submit("divergent", *ALONE, "optim.lr=4e9", "optim.warmup_fraction=0", "training.non_finite_limit=2")
    brief = profile(tmp_path, "brief", "signal_seconds: 5")
    cluster.submit(
        "brief", *ALONE, "training.max_steps=100000", "launch.max_continuations=0", "launch.hours=0.0166", brief
    )
    becomes(cluster, "greedy", "out of memory")
    becomes(cluster, "mistaken", "user error")
    becomes(cluster, "divergent", "NaN")
    becomes(cluster, "brief", "out of time")
    cluster.dual("resume", "brief")
    assert cluster.why("brief")["cause"] in ("queued", "running")
    cluster.dual("cancel", "brief")
    becomes(cluster, "brief", "cancelled")


def test_ends_that_others_bring_about(cluster: Any, tmp_path: Path) -> None:
    needs_namespaces()
    evicted = cluster.submit("evicted", *ALONE, "launch.partition=lowc0", "launch.cpus_per_rank=4")
    cluster.until("it runs", lambda: cluster.queue(evicted) == "RUNNING")
    # At once: a rank that trains already would save and go back into the queue by itself.
    options = ("--exclusive", "--output=/dev/null", "--wrap=sleep 60")
    slurm("sbatch", "--partition=high", f"--nodelist={cluster.nodes(evicted)[0]}", *options)
    robbed = cluster.submit("lost", *ALONE, profile(tmp_path, "strict", "requeue: false"))
    dropped = cluster.submit("dropped", *ALONE)
    for run in (robbed, dropped):
        cluster.until("it runs", lambda run=run: cluster.queue(run) == "RUNNING")
    (victim,) = cluster.nodes(robbed)
    slurm("scancel", cluster.job(dropped))
    with crashed(cluster, victim):
        becomes(cluster, "dropped", "cancelled")
        becomes(cluster, "evicted", "preempted")
        becomes(cluster, "lost", "node failure")
        assert robbed.path.name in cluster.why("lost")["advice"]


def test_a_hang_ends_the_job_and_leaves_the_stacks_of_all_threads(cluster: Any) -> None:
    needs_namespaces()
    run = cluster.submit("stuck", "training.hang_minutes=0.5", "checkpoint.every_steps=1000", "training.max_steps=4000")
    cluster.until("it trains", lambda: step_of(run) >= 5)
    node("exec", cluster.nodes(run)[1], "sh", "-c", "kill -STOP $(pgrep -f submitit.core.[_]submit)")
    becomes(cluster, "stuck", "hang")
    assert "Thread 0x" in (run.logs / "rank_0000.log").read_text()
