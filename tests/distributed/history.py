"""What a run has done, so that two runs can be compared."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from dual_hpc.checkpoint import manifest, select
from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import read, replay
from dual_hpc.run.names import step_folder
from dual_hpc.run.phases import PHASES

# The only curves that two equal runs differ in.
TIMES = ("train/samples_per_second", "train/host_memory_gb", *(f"train/{phase}" for phase in PHASES))
OF_TIMES = ("ranks/", "goodput/")


def samples(run: RunDir) -> tuple[int, dict[int, list[str]]]:
    """How many steps were executed, and the samples of each as the last job that did it read them.

    The ranks were started with SAMPLES set to the run's directory.
    """
    by_step: dict[int, dict[str, list[str]]] = {}
    executed = 0
    for file in sorted(run.path.glob("samples-*.jsonl")):
        for line in file.read_text().splitlines():
            with contextlib.suppress(ValueError):  # torn by a kill: the step was not done either
                record = json.loads(line)
                by_step.setdefault(record["step"], {})[file.name] = record["keys"]
                executed += file.name == "samples-0.jsonl"
    return executed, {step: sorted(sum(ranks.values(), [])) for step, ranks in sorted(by_step.items())}  # noqa: RUF017


def final_state(run: RunDir) -> dict[str, Any]:
    """The hashes of all files of the last checkpoint, its position, the exported weights, every logged value."""
    found = manifest.load(run.checkpoints / step_folder(select.steps(run.checkpoints)[-1]))
    curves = replay(read(run.journal))
    return {
        "step": found.step,
        "files": found.files,
        "state": found.state,
        "weights": {name: (run.exports / name / "model.safetensors").read_bytes() for name in ("best", "last")},
        "curves": {key: curve for key, curve in curves.items() if key not in TIMES and not key.startswith(OF_TIMES)},
    }
