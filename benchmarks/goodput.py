"""Hours of ten disturbed runs as `dual-hpc goodput` counts them, beside Slurm's accounts: ten minutes.

slurm/devcluster/up && source /tmp/devcluster/env && python -m benchmarks.goodput
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks import record
from tests.night.night import pack
from tests.slurm.conftest import Cluster
from tests.slurm.scene import Scene
from tests.slurm.ten_runs import live_and_count

WHAT = {"low": "preempted and requeued", "dies": "a rank killed, resumed", "again": "requeued by Slurm's command"}
WHAT |= {"pauses": "stopped and resumed", "calm": "undisturbed"}


def main() -> None:
    argparse.ArgumentParser(prog="python -m benchmarks.goodput", description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder) / "store", pack(Path(folder)))
        try:
            found = live_and_count(Scene(cluster, Path(folder)))
        finally:
            cluster.cancel_left()
    rows, shares = [], []
    for name, one in found.items():
        case = f"{name}, {WHAT[name.partition('-')[0]]}"
        rows.append(record.row(case, 3600 * one["held"], 3600 * one["sacct"]["core_hours"], "sacct", "core-seconds"))
        shares.append(sum(one["shares"].values()))
    farthest = max(abs(one["held"] / one["sacct"]["core_hours"] - 1) for one in found.values())
    note = (
        f"Four nodes of the development cluster. The farthest from sacct, which counts whole seconds: {farthest:.2%}. "
        f"The shares of a run sum to {min(shares):.2f} to {max(shares):.2f} %; they are in the JSON."
    )
    record.write("goodput", rows, note, shares={name: one["shares"] for name, one in found.items()})


if __name__ == "__main__":
    main()
