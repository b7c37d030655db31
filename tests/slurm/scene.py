"""Where the ends of runs are brought about: many runs at once on the real Slurm, each with what disturbs it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dual_hpc.run.directory import RunDir
from dual_hpc.tracking.mlflow_store import store_of
from launch.cluster.slurm import Scheduler
from launch.runs.diagnosis import diagnose
from launch.runs.evidence import collect_evidence
from launch.runs.findings import Diagnosis
from tests.slurm.conftest import SMALLEST, Cluster
from tests.slurm.observe import node, slurm, step_of

# One rank that needs little, so that many runs share the nodes; one that does not end by itself.
ALONE = ("launch.nodes=1", "launch.cpus_per_rank=1", "launch.memory=900M")
ENDLESS = ("training.max_steps=1000000", "training.epochs=1000000", "checkpoint.every_steps=100000")
LATER = "launch.begin=now+1hour"


@dataclass
class Scene:
    """A store, and the runs that were submitted there.

    Attributes:
        folder: for what disturbs them.
    """

    cluster: Cluster
    folder: Path
    submitting: threading.Lock = field(default_factory=threading.Lock)

    def dual(self, *words: object, python: str = sys.executable, **environ: str) -> str:
        """Run `dual-hpc`; its standard output."""
        command = [python, "-m", "launch.cli.main", *map(str, words)]
        environment = {**os.environ, "DUAL_STORE": str(self.cluster.store), "OMP_NUM_THREADS": "1", **environ}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240)
        assert done.returncode == 0, f"{shlex.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout

    def submit(self, name: str, *overrides: str, python: str = sys.executable, **environ: str) -> RunDir:
        """A run of the smallest model with one rank."""
        words = ("submit", "--preset", "demo", "--shards", self.cluster.shards, f"name={name}", *SMALLEST, *ALONE)
        with self.submitting:  # starting the command costs the processor more than the job does
            self.dual(*words, *overrides, python=python, **environ)
        self.cluster.started.append(name)
        return self.run(name)

    def endless(self, name: str, *overrides: str, **environ: str) -> RunDir:
        """A run that trains until something ends it; returned when it has done a step."""
        run = self.submit(name, *ENDLESS, *overrides, **environ)
        self.until(f"{name} trains", lambda: step_of(run) >= 1)
        return run

    def run(self, name: str) -> RunDir:
        return RunDir.open(self.cluster.store / "runs" / name)

    def job(self, run: RunDir) -> str:
        return self.cluster.job(run)

    def queue(self, run: RunDir) -> str:
        return self.cluster.queue(run)

    def node(self, run: RunDir) -> str:
        """The first node of the run's newest job."""
        return self.cluster.nodes(run)[0]

    def until(self, what: str, true: Callable[[], object], seconds: float = 300) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, f"never: {what}; {slurm('squeue')}"
            time.sleep(1)

    def why(self, name: str) -> Diagnosis:
        """As `dual-hpc why` finds it."""
        return diagnose(collect_evidence(self.run(name), Scheduler()))

    def signal_rank(self, run: RunDir, number: str, rank: int = 0) -> None:
        """Send a signal to a rank, on its node; srun has the same words in its command line, behind its own name."""
        find = f"pgrep -f '^[^ ]*python.*[_]submit .*/{run.path.name}/logs' | sed -n {rank + 1}p"
        node("exec", self.node(run), "sh", "-c", f"kill -{number} $({find})")

    def plugins(self) -> str:
        """A folder with plugins that fail in a job."""
        return str(Path(__file__).with_name("trouble"))

    def preload(self) -> dict[str, str]:
        """The environment in which the plugin `full_disk` lets the disk be full below the run's checkpoints."""
        library = self.folder / "shim.so"
        source = Path(__file__).parents[1] / "faults" / "shim.c"
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
        return {"LD_PRELOAD": str(library), "PYTHONPATH": self.plugins(), "FULL_DISK": str(self.cluster.store / "runs")}

    def own_environment(self, name: str) -> Path:
        """The Python of a virtual environment that only one run uses, and that shares its packages."""
        real, own = Path(sys.prefix), self.folder / name
        (own / "bin").mkdir(parents=True)
        (own / "pyvenv.cfg").write_text((real / "pyvenv.cfg").read_text())
        (own / "lib").symlink_to(real.resolve() / "lib")
        (own / "bin" / "python").symlink_to((real / "bin" / "python").resolve())
        return own / "bin" / "python"

    @contextmanager
    def hidden(self, folder: Path, *nodes: str, options: str = "size=64k") -> Iterator[None]:
        """Another, small and empty, file system in place of this folder on these nodes only."""
        for name in nodes:
            node("exec", name, "mount", "-t", "tmpfs", "-o", options, "none", str(folder))
        try:
            yield
        finally:
            for name in nodes:
                node("exec", name, "umount", "-l", str(folder))


def mlflow_status(run: RunDir) -> str:
    with store_of(run.config()).client() as client:
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        (one,) = client.search_runs(experiments, f"tags.`dual.run_id` = '{run.identity().run_id}'")
    return str(one.info.status)
