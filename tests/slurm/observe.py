"""What the tests see of a run and of the cluster, asked directly: a poll must not cost a start of the command."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import read
from dual_hpc.tracking.mlflow_store import store_of
from launch.cluster.profiles import FOLDER
from launch.records import submissions

NODE = Path(__file__).resolve().parents[2] / "slurm" / "devcluster" / "node"


def slurm(*words: str) -> str:
    """The output of a command of Slurm."""
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=120).stdout


def node(*words: str) -> None:
    """Do something to a machine of the cluster."""
    subprocess.run([NODE, *words], check=True, timeout=120)


def is_in(name: str, *states: str) -> bool:
    """Whether Slurm calls a node so."""
    return any(state in slurm("sinfo", "-h", "-n", name, "-o", "%T") for state in states)


def profile(folder: Path, name: str, *changes: str) -> str:
    """The development cluster's profile with other lines, as an override."""
    lines = (FOLDER / "dev.yaml").read_text().splitlines()
    changed = {change.split(":")[0] for change in changes}
    path = folder / f"{name}.yaml"
    path.write_text("\n".join([*(line for line in lines if line.split(":")[0] not in changed), *changes]) + "\n")
    return f"launch.profile={path}"


def nodes_of(job: str) -> list[str]:
    """The nodes of a job, also when it has ended."""
    taken = slurm("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%N").strip()
    return slurm("scontrol", "show", "hostnames", taken).split() if taken else []


@contextmanager
def nodes_taken(partition: str) -> Iterator[None]:
    """Another user's job on all nodes."""
    options = (f"--partition={partition}", "--nodes=4", "--exclusive", "--output=/dev/null", "--wrap=sleep 900")
    blocker = slurm("sbatch", "--parsable", *options).strip()
    try:
        yield
    finally:
        slurm("scancel", blocker)


def has_namespaces() -> bool:
    """True if every node is a machine of its own; see slurm/devcluster/settings.sh."""
    return (Path(os.environ["SLURM_CONF"]).parents[1] / "run" / "mode").read_text().strip() == "netns"


def needs_namespaces() -> None:
    """Skip where one node's processes, memory or power cannot be told from another's."""
    if not has_namespaces():
        pytest.skip("the cluster runs without namespaces: its nodes are one machine")


def listening(name: str) -> set[str]:
    """The addresses at which Python listens on a node."""
    out = subprocess.run([NODE, "exec", name, "ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    return {line.split()[3].rpartition(":")[0] for line in out.splitlines() if "python" in line}


@contextmanager
def crashed(cluster: Any, name: str) -> Iterator[None]:
    """A power cut; the node comes back at the end."""
    node("crash", name)
    try:
        cluster.until("Slurm noticed", lambda: is_in(name, "down"))
        yield
    finally:
        cluster.until("Slurm noticed", lambda: is_in(name, "down"))
        node("start", name, f"10.77.0.1{name[1:]}")
        cluster.until("the node is back", lambda: is_in(name, "idle", "mixed", "allocated"))


def step_of(run: RunDir) -> int:
    """The last step in the journal."""
    return max((entry.step or 0 for entry in read(run.journal)), default=0)


def ends(run: RunDir) -> list[tuple[str | None, int]]:
    """Why and at which step each segment ended."""
    return [(segment.reason, segment.step) for segment in run.segments() if segment.event == "end"]


def starts(run: RunDir) -> list[int]:
    """The step at which each segment began."""
    return [segment.step for segment in run.segments() if segment.event == "start"]


def continuations(run: RunDir) -> list[tuple[str, str | None]]:
    """What the run's jobs and its user did."""
    return [(entry.event, entry.cause) for entry in submissions.read(run.path)]


def weights(run: RunDir) -> dict[str, Any]:
    """The last exported weights."""
    from safetensors.torch import load_file

    return load_file(run.exports / "last" / "model.safetensors")


def assert_undisturbed(run: RunDir, reference: RunDir) -> None:
    """Bit for bit the weights of the reference, and one MLflow run."""
    found, expected = weights(run), weights(reference)
    assert found.keys() == expected.keys()
    assert [name for name in expected if not bool((found[name] == expected[name]).all())] == []
    with store_of(run.config()).client() as client:
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        query = f"tags.`dual.run_id` = '{run.identity().run_id}'"
        (one,) = client.search_runs(experiments, query)
    assert one.info.status == "FINISHED"
