"""The runs of a night: each on one node or two, some with a Slurm that is hard of hearing, one on a small disk."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dual_hpc.run.directory import RunDir
from launch.cluster.profiles import FOLDER
from launch.cluster.slurm import Scheduler
from launch.cluster.state import ACTIVE, State
from launch.runs.diagnosis import diagnose
from launch.runs.evidence import collect_evidence
from launch.runs.findings import Diagnosis
from launch.runs.status import has_finished
from tests.slurm.conftest import SMALLEST
from tests.slurm.observe import NODE, node, slurm, starts, step_of
from tests.slurm.test_silent_slurm import failing

MEGABYTES = 1500  # of the small disk, of which next to nothing is ever written


@dataclass
class Fleet:
    """All runs, and how a user gives commands about them.

    Attributes:
        steps: of each run.
        queue: the states of the jobs that Slurm has, by the names of their runs; see `look`.
        busy: the runs that something is being done to.
    """

    place: Path
    shards: Path
    steps: int
    runs: list[RunDir] = field(default_factory=list)
    queue: dict[str, str] = field(default_factory=dict)
    busy: set[str] = field(default_factory=set)

    def dual(self, *words: object, path: Path | None = None, code: int = 0) -> str:
        """Run `dual-hpc`; what it printed.

        Args:
            path: a folder of programs that come before Slurm's own.
        """
        programs = {"PATH": f"{path}:{os.environ['PATH']}"} if path else {}
        environment = {**os.environ, "DUAL_STORE": str(self.place / "store"), "OMP_NUM_THREADS": "1", **programs}
        command = [sys.executable, "-m", "launch.cli.main", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
        if done.returncode != code:
            raise AssertionError(f"dual-hpc {' '.join(map(str, words))}: {done.returncode}: {done.stderr[-500:]}")
        return done.stdout + done.stderr

    def submit(self, name: str, *overrides: str, path: Path | None = None, small: bool = False) -> RunDir:
        """A run of the smallest model; `small`: on the small disk."""
        store = self.place / ("small" if small else "store")
        every = f"checkpoint.every_steps={max(4, self.steps // 6)}"
        # All cores that Slurm has on a node, so that each has one job; but one thread, as they are not real ones.
        dev = (FOLDER / "dev.yaml").read_text()
        (self.place / "night.yaml").write_text(dev.replace("environment:", 'environment:\n  OMP_NUM_THREADS: "1"'))
        length = (f"training.max_steps={self.steps}", "training.epochs=1000000", every)
        place = (f"launch.profile={self.place}/night.yaml", "launch.cpus_per_rank=4", "launch.nodes=1")
        words = ("submit", "--preset", "demo", "--shards", self.shards, f"name={name}", f"store={store}")
        self.dual(*words, *SMALLEST, *length, *place, *overrides, path=path)
        self.runs.append(RunDir.open(store / "runs" / name))
        return self.runs[-1]

    def launch(self, count: int, draw: random.Random) -> None:
        """Submit so many runs of all kinds."""
        deaf = deaf_programs(self.place / "deaf")
        kinds: Mapping[int, tuple[str, ...]] = {
            1: ("launch.partition=low",),
            3: ("launch.partition=low0",),
            4: ("tracking.uri=http://127.0.0.1:9",),
            5: ("launch.nodes=2",),
            6: ("launch.partition=low",),
            9: ("launch.partition=low0", "launch.nodes=2"),
        }
        for number in draw.sample(range(count), count):
            hears_badly = deaf if number % 6 == 2 else None
            self.submit(f"night-{number}", *kinds.get(number, ()), path=hears_badly, small=number == 7)

    def add(self, small: bool) -> None:
        """One more run, where the others have finished before the night is over; `small`: on the small disk."""
        self.submit(f"night-{len(self.runs)}", "launch.partition=low", small=small)

    def look(self) -> None:
        """Ask Slurm what it has, once for all runs."""
        lines = slurm("squeue", "--me", "--noheader", "--format=%j %T").splitlines()
        self.queue = {name: state for name, _, state in (line.partition(" ") for line in lines)}

    def has_jobs(self) -> bool:
        """True while a job of these runs waits, runs or ends."""
        return any(run.path.name in self.queue for run in self.runs)

    def free(self) -> list[RunDir]:
        """Runs that train, are not nearly finished, and to which nothing is being done."""
        left = max(3, self.steps // 12)
        idle = [run for run in self.runs if run.path.name not in self.busy and 1 <= step_of(run) < self.steps - left]
        return [run for run in idle if self.queue.get(run.path.name) == "RUNNING"]

    def diagnose(self, run: RunDir) -> Diagnosis:
        """What `dual-hpc why` says, without the seconds that its start takes."""
        return diagnose(collect_evidence(run, Scheduler(patience=60)))

    def ended(self, run: RunDir) -> Diagnosis | None:
        """Why a run has ended without having finished; None where it has finished, or a job of it waits or runs."""
        if run.path.name in self.queue or has_finished(run):
            return None
        found = self.diagnose(run)
        return None if found.state in (*ACTIVE, State.SUBMITTED, State.FINISHED) else found


def lives(run: RunDir) -> int:
    """How often training has begun."""
    return len(starts(run))


def deaf_programs(folder: Path) -> Path:
    """Slurm's commands, of which each third call times out."""
    folder.mkdir()
    for name in ("scontrol", "squeue", "sacct"):
        failing(folder, name, "[ $((n % 3)) -ne 0 ] || silent")
    return folder


@contextmanager
def night_place() -> Iterator[Path]:
    """A folder for everything, with a small disk that all nodes see."""
    place = Path(tempfile.mkdtemp(prefix="dual-night-"))
    small = place / "small"
    small.mkdir()
    subprocess.run(["truncate", f"--size={MEGABYTES}M", place / "disk"], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", place / "disk"], check=True)
    subprocess.run(["mount", "-o", "loop", place / "disk", small], check=True)
    for name in ("n1", "n2", "n3", "n4"):
        mount_small_disk(place, name)
    try:
        yield place
    finally:
        for name in ("n1", "n2", "n3", "n4"):
            subprocess.run([NODE, "exec", name, "umount", "--lazy", small], capture_output=True, check=False)
        subprocess.run(["umount", "--lazy", small], capture_output=True, check=False)


def mount_small_disk(place: Path, name: str) -> None:
    """Also of a node that was crashed and is back; the device is the same one, and so is what is free on it."""
    device = subprocess.run(
        ["losetup", "--noheadings", "--output=NAME", f"--associated={place / 'disk'}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()[0]
    # What was mounted here when the node was started is mounted there already.
    node("exec", name, "sh", "-c", 'mountpoint -q "$1" || mount "$0" "$1"', device, str(place / "small"))


def wait(what: str, seconds: float = 900) -> Iterator[None]:
    """Yields until it has yielded for so long, and then says what never came."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
    raise AssertionError(f"never in {seconds:.0f} s: {what}")
