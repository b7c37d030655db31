"""What must hold of each run when the night is over: nothing is lost, and nothing differs from an undisturbed run."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import read, replay
from dual_hpc.tracking.mlflow_store import store_of
from tests.slurm.observe import slurm


def weights_digest(run: RunDir) -> str:
    """Of the last exported weights, byte by byte."""
    return hashlib.sha256((run.exports / "last" / "model.safetensors").read_bytes()).hexdigest()


def violations(run: RunDir, state: str, steps: int, reference: str) -> Iterator[str]:
    """What is wrong with a run.

    Args:
        state: as `dual-hpc runs` shows it.
        reference: the weights of an undisturbed run of the same size.
    """
    if state != "finished":
        yield f"`dual-hpc runs` calls it {state}"
        return
    yield from journal_violations(run.journal, steps)
    for before, after in itertools.pairwise(run.segments()):
        saved = (before.event, before.reason, after.event) == ("end", "stopped", "start")
        if saved and after.step != before.step:
            yield f"it saved at step {before.step} and went on after step {after.step}"
    if weights_digest(run) != reference:
        yield "its weights differ from those of the undisturbed run"
    if left := list(run.checkpoints.glob("*.tmp")):
        yield f"unfinished checkpoints are left: {[path.name for path in left]}"
    if active := slurm("squeue", "--me", "--noheader", f"--name={run.path.name}", "--format=%i").split():
        yield f"jobs of it are left: {active}"
    if not run.config().tracking.uri.startswith("http"):
        yield from mlflow_violations(run)


def journal_violations(journal: Path, steps: int) -> Iterator[str]:
    for number, line in enumerate(journal.read_text(encoding="utf-8").splitlines(), 1):
        try:
            json.loads(line)
        except ValueError:
            yield f"line {number} of its journal cannot be read: {line[:80]}"
    told = sorted(replay(read(journal)).get("train/loss", {}))
    if told != list(range(1, steps + 1)):
        lost = sorted(set(range(1, steps + 1)) - set(told))
        yield f"its journal lacks steps {lost[:10]}" if lost else f"its journal has {len(told)} steps"


def mlflow_violations(run: RunDir) -> Iterator[str]:
    with store_of(run.config()).client() as client:
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        found = client.search_runs(experiments, f"tags.`dual.run_id` = '{run.identity().run_id}'")
    if [one.info.status for one in found] != ["FINISHED"]:
        yield f"MLflow has it as {[one.info.status for one in found]}"
