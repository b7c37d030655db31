"""Ask TraceML about a planted slowdown of `slow_rank.py`, as its own summary says it.

It is not a dependency of the project: https://pypi.org/project/traceml-ai, in an environment of its own that has torch
as well.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from launch.job.ports import free_port

ROOT = Path(__file__).parents[1]
# What it calls a slow rank -> the phase that this means; one whose cause it does not know has none.
PHASES = {"INPUT_STRAGGLER": "data_wait", "COMPUTE_STRAGGLER": "forward", "STRAGGLER": None}
LONGEST = 600.0  # seconds of one training
ATTEMPTS = 8  # it gives up where its own server does not answer within 15 seconds, as on a busy machine
NOTE = (
    "TraceML was given the same network, delays and ranks in the form that its documentation shows: "
    "DistributedDataParallel, a DataLoader, its `trace_step` around the step. Whatever it says of a slow rank counts, "
    "not only its verdict. It looks for the rank with the shortest `backward`, for which the others wait there, and "
    "for a longer wait for data or a longer forward of that rank. A rank that is slow in backward itself takes as long "
    "for it as the others, and what happens between two steps, as a save, is not in what it times."
)


def ask(program: Path, ranks: int, case: str, folder: Path) -> dict[str, Any]:
    """The rank and the phase that it names, None where it names none.

    Args:
        program: its command, `traceml`.
        folder: for its files.

    Raises:
        SystemExit: it failed.
    """
    for attempt in range(ATTEMPTS):
        name = f"{ranks}-{case.replace(':', '-')}-{attempt}"
        words: list[Any] = [program, "run", ROOT / "benchmarks" / "slow_rank_traceml.py", "--nproc-per-node", ranks]
        words += ["--interval", 1, "--logs-dir", folder, "--run-name", name, "--no-save-training-output"]
        words += ["--aggregator-port", free_port(), "--master-port", free_port(), "--args", case]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        done = subprocess.run([*map(str, words)], env=environment, capture_output=True, text=True, timeout=LONGEST)
        summary = folder / name / "final_summary.json"
        if not done.returncode and summary.exists():
            break
    else:
        raise SystemExit(f"TraceML failed on {case}: {(done.stdout + done.stderr)[-2000:]}")
    found = json.loads(summary.read_text())
    slow = [issue for issue in found["step_time"]["issues"] if issue["kind"] in PHASES]
    said = {"rank": slow[0]["ranks"][0], "phase": PHASES[slow[0]["kind"]]} if slow else {"rank": None, "phase": None}
    return {"case": case, "ranks": ranks, **said, "sentence": found["primary_diagnosis"]["summary"]}
