"""What TraceML says of the trainings of `benchmarks.slow_rank`: the same network, slowness, ranks and ZeRO stages.

    pip install --target FOLDER traceml-ai
    python -m benchmarks.traceml --site FOLDER

TraceML tells a rank that is slow in its input from one that is slow in computing, not forward from backward, so the
kind of the phase and the rank are what must be right. Each training has a `traceml run` of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.slow_rank import cases
from launch.job.ports import free_port

# What is planted -> the verdicts that name it.
RIGHT = {
    "loader": ("INPUT_STRAGGLER",),
    "forward": ("COMPUTE_STRAGGLER",),
    "backward": ("COMPUTE_STRAGGLER",),
    "disk": ("STRAGGLER", "COMPUTE_STRAGGLER"),
}
ALARMS = ("INPUT_STRAGGLER", "COMPUTE_STRAGGLER", "H2D_STRAGGLER", "STRAGGLER")


def verdict(case: str, ranks: int, folder: Path, site: Path) -> dict[str, Any]:
    """`kind`, and `rank` of the one that it blames, of one training."""
    environment = {**os.environ, "PYTHONPATH": f"{site}:{Path.cwd()}", "OMP_NUM_THREADS": "1"}
    worker = Path(__file__).parent / "traceml_worker.py"
    command = [sys.executable, "-m", "traceml_ai.launcher.cli", "run", "--nproc-per-node", str(ranks)]
    command += ["--logs-dir", str(folder), "--run-name", "case", "--master-port", str(free_port())]
    command += ["--aggregator-port", str(free_port()), str(worker), "--args", case, str(free_port())]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    found = list(folder.rglob("final_summary.json"))
    if done.returncode or not found:
        return {"kind": f"failed: {done.stdout[-500:]} {done.stderr[-1500:]}", "rank": None}
    summary = json.loads(found[0].read_text())
    primary, step_time = summary.get("primary_diagnosis") or {}, summary["step_time"].get("diagnosis") or {}
    ranks_blamed = step_time.get("ranks") or primary.get("ranks") or []
    return {
        "kind": step_time.get("kind"),
        "primary": primary.get("kind"),
        "rank": ranks_blamed[0] if ranks_blamed else None,
        "summary": step_time,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.traceml", description=__doc__.partition("\n")[0])
    parser.add_argument("--site", type=Path, required=True, help="where TraceML is installed")
    parser.add_argument("--planted", type=int, default=40)
    parser.add_argument("--clean", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="so many trainings alone, with the whole verdict")
    options = parser.parse_args()
    todo = [
        (ranks, case) for ranks, some in cases(options.planted, options.clean, options.seed).items() for case in some
    ]
    answers = []
    for ranks, case in todo[: options.only]:
        with tempfile.TemporaryDirectory() as folder:
            answers.append({"case": case, "ranks": ranks, **verdict(case, ranks, Path(folder), options.site)})
        print(json.dumps(answers[-1]), flush=True)


if __name__ == "__main__":
    main()
