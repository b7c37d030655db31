"""How exact the gradient of a step is, by the number of its micro-batches: summed in float32 and in the weights' bf16.

`python -m benchmarks.precision` starts one rank of `tests/distributed/workers/gradients.py`, where it is measured.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.record import row, write
from launch.job.ports import LOOPBACK, free_port

ROOT = Path(__file__).resolve().parents[1]
WORKER = ROOT / "tests" / "distributed" / "workers" / "gradients.py"


def main() -> None:
    where = {
        "RANK": "0",
        "LOCAL_RANK": "0",
        "WORLD_SIZE": "1",
        "MASTER_ADDR": LOOPBACK,
        "MASTER_PORT": str(free_port()),
    }
    with tempfile.TemporaryDirectory() as folder:
        environ = {**os.environ, **where, "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, str(WORKER), folder], env=environ, check=True, stderr=subprocess.DEVNULL)
        found = json.loads((Path(folder) / "gradients.json").read_text())
    rows = [
        row(
            f"ZeRO {stage}, {count} micro-batches",
            100 * found[f"{stage}:bf16:fp32:{count}"],
            100 * found[f"{stage}:bf16:same:{count}"],
            "summed in bf16",
            "% error",
            smaller_is_better=True,
        )
        for stage in range(4)
        for count in (8, 64)
    ]
    note = (
        "Relative error of the gradient of 256 samples on one rank; weights and each micro-batch's gradient are bf16, "
        "all else is computed in float32, and the exact gradient in float64."
    )
    print(write("precision", rows, note))


if __name__ == "__main__":
    main()
