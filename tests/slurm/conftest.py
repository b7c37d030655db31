"""Runs on a real Slurm: the development cluster, addressed through the command as a user would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.run.directory import RunDir
from launch.job.requeue import newest_checkpoint
from launch.records import submissions
from tests.slurm.observe import ends, nodes_of, slurm

# The smallest DUAL, without randomness, so that two runs can be compared bit for bit.
SMALLEST = (
    "data.image_size=32",
    "data.max_seconds=1",
    "data.global_batch=8",
    "data.micro_batch=4",
    "data.workers=0",
    "model.hidden_size=16",
    "model.num_heads=2",
    "training.epochs=100",
    "training.max_steps=40",
    "checkpoint.every_steps=10",
    "training.log_every=1",
    "training.validate_every=1000",
    "launch.profile=dev",
    "launch.nodes=2",
    "launch.ranks_per_node=1",
    "launch.cpus_per_rank=2",
    "launch.hours=0.5",
)


@dataclass
class Cluster:
    """The development cluster and a store of its own."""

    store: Path
    shards: Path
    started: list[str] = field(default_factory=list)

    def dual(self, *words: object, code: int = 0) -> str:
        """Run `dual-hpc`; its standard output (standard error where a failure is expected)."""
        command = [sys.executable, "-m", "launch.cli.main", *map(str, words)]
        environment = {**os.environ, "DUAL_STORE": str(self.store), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stderr if code else done.stdout

    def submit(self, name: str, *overrides: str) -> RunDir:
        """A run of the smallest model on two nodes."""
        self.dual(
            *("submit", "--preset", "demo", "--shards", self.shards),
            *(f"name={name}", *SMALLEST, *overrides),
        )
        self.started.append(name)
        return RunDir.open(self.store / "runs" / name)

    def sweep(self, name: str, *words: object) -> None:
        """A sweep of the smallest model."""
        self.dual("sweep", "--preset", "demo", "--shards", self.shards, f"name={name}", *SMALLEST, *words)
        self.started.append(name)

    def reference(self) -> RunDir:
        """A run that nothing disturbed."""
        if not (self.store / "runs" / "undisturbed").exists():
            self.finish(self.submit("undisturbed"))
        return RunDir.open(self.store / "runs" / "undisturbed")

    def cancel_left(self) -> None:
        """End the jobs of its runs that wait or run: the next tests want the nodes."""

        def left() -> list[str]:
            lines = slurm("squeue", "--me", "--noheader", "--format=%i %j").splitlines()
            return [line.split()[0] for line in lines if line.split()[1] in self.started]

        if jobs := left():
            slurm("scancel", *jobs)
            self.until("their jobs are gone", lambda: not left())

    def status(self, name: str) -> dict[str, Any]:
        return json.loads(self.dual("status", name, "--json"))

    def why(self, name: str) -> dict[str, str]:
        return json.loads(self.dual("why", name, "--json"))

    def until(self, what: str, true: Callable[[], object], seconds: float = 600) -> None:
        """Wait for a condition; the queue and the logs tell why it never came."""
        deadline = time.monotonic() + seconds
        while not true():
            if time.monotonic() > deadline:
                logs = [f"{log}:\n{log.read_text(errors='replace')[-2000:]}" for log in self.store.rglob("rank_0*.log")]
                pytest.fail("\n".join([f"never: {what}", slurm("squeue"), *logs]))
            time.sleep(0.5)

    def job(self, run: RunDir) -> str:
        """The id of the run's newest job."""
        return str(submissions.last_job(submissions.read(run.path)))

    def queue(self, run: RunDir) -> str:
        """What the controller calls the run's newest job."""
        return slurm("squeue", "--noheader", "--states=all", f"--jobs={self.job(run)}", "--format=%T").strip()

    def nodes(self, run: RunDir) -> list[str]:
        """The nodes of the run's newest job, also when it has ended."""
        return nodes_of(self.job(run))

    def checkpoint(self, run: RunDir) -> int:
        """The step of the run's newest checkpoint."""
        return newest_checkpoint(run.path)

    def finish(self, run: RunDir, seconds: float = 600) -> None:
        """Wait until the run has finished and its job has left its nodes."""
        self.until(
            f"{run.path.name} finishes", lambda: [reason for reason, _ in ends(run)][-1:] == ["finished"], seconds
        )
        active = ("RUNNING", "COMPLETING")
        self.until(f"the job of {run.path.name} ends", lambda: self.queue(run) not in active)


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A packed synthetic IEMOCAP of forty utterances."""
    folder = tmp_path_factory.mktemp("corpus")
    for words in (
        ("synth", "iemocap", "--out", folder / "raw", "--utterances", 40),
        ("pack", "iemocap", folder / "raw", "--out", folder / "shards", "--video-size", 48, "--workers", 1),
    ):
        subprocess.run([sys.executable, "-m", "launch.cli.main", *map(str, words)], check=True, timeout=240)
    return folder / "shards"


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory, shards: Path) -> Iterator[Cluster]:
    """The cluster; what the tests leave in the queue is cancelled."""
    made = Cluster(tmp_path_factory.mktemp("slurm") / "store", shards)
    yield made
    made.cancel_left()
