"""`dual-hpc why` for every way a run can end, each brought about on the real Slurm: `make slurm-long`."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from launch.profiles import FOLDER

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]
DEVCLUSTER = Path(__file__).resolve().parents[2] / "slurm" / "devcluster"
ALONE = ("launch.nodes=1", "training.max_steps=400")


def slurm(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout


def profile(folder: Path, name: str, *changes: str) -> str:
    """The development cluster's profile with further lines."""
    lines = (FOLDER / "dev.yaml").read_text().splitlines()
    changed = {change.split(":")[0] for change in changes}
    path = folder / f"{name}.yaml"
    path.write_text("\n".join([*(line for line in lines if line.split(":")[0] not in changed), *changes]) + "\n")
    return f"launch.profile={path}"


def becomes(cluster: Any, name: str, cause: str) -> None:
    cluster.until(f"{name}: {cause}", lambda: cluster.why(name)["cause"] == cause, 300)


def test_ends_that_a_job_brings_about_itself(cluster: Any, tmp_path: Path) -> None:
    cluster.submit("greedy", *ALONE, profile(tmp_path, "small", 'extra: {"mem-per-cpu": "40M"}'))
    cluster.submit("mistaken", "data.global_batch=9", "data.micro_batch=1")
    cluster.submit("divergent", *ALONE, "optim.lr=1e30", "optim.warmup_fraction=0", "training.non_finite_limit=2")
    brief = profile(tmp_path, "brief", "signal_seconds: 5")
    cluster.submit(
        "brief", *ALONE, "training.max_steps=100000", "launch.max_continuations=0", "launch.hours=0.0167", brief
    )
    becomes(cluster, "greedy", "out of memory")
    becomes(cluster, "mistaken", "user error")
    becomes(cluster, "divergent", "NaN")
    becomes(cluster, "brief", "time limit")
    cluster.dual("resume", "brief")
    assert cluster.why("brief")["cause"] in ("queued", "running")
    cluster.dual("cancel", "brief")
    becomes(cluster, "brief", "cancelled")


def test_ends_that_others_bring_about(cluster: Any, tmp_path: Path) -> None:
    strict = profile(tmp_path, "strict", "requeue: false")
    robbed = cluster.submit("lost", *ALONE, strict)
    cluster.submit("dropped", *ALONE)
    cluster.submit("evicted", *ALONE, "launch.partition=lowc0", "launch.cpus_per_rank=4")
    for name in ("lost", "dropped", "evicted"):
        cluster.until("it runs", lambda name=name: cluster.status(name)["slurm_state"] == "RUNNING")
    victim = cluster.status("lost")["nodes"]
    evicted = cluster.status("evicted")["nodes"]
    slurm("scancel", cluster.status("dropped")["job_id"])
    options = ("--partition=high", f"--nodelist={evicted}", "--exclusive", "--output=/dev/null", "--wrap=sleep 60")
    slurm("sbatch", *options)
    subprocess.run([DEVCLUSTER / "node", "crash", victim], check=True, timeout=60)
    try:
        becomes(cluster, "dropped", "cancelled")
        becomes(cluster, "evicted", "preempted")
        becomes(cluster, "lost", "node failure")
        assert robbed.path.name in cluster.why("lost")["advice"]
    finally:
        cluster.until("Slurm noticed", lambda: "down" in slurm("sinfo", "-h", "-n", victim, "-o", "%T"), 120)
        subprocess.run([DEVCLUSTER / "node", "start", victim, f"10.77.0.1{victim[1:]}"], check=True, timeout=60)
        cluster.until("the node is back", lambda: "idle" in slurm("sinfo", "-h", "-n", victim, "-o", "%T"), 120)
