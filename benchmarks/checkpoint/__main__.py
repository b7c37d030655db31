"""`python -m benchmarks.checkpoint`: what saving costs a training, compared with DeepSpeed and PyTorch.

Two ranks hold a DUAL of ten million parameters under ZeRO 1 and save it in turn by each way, interleaved, in one
process group: this project's saver, synchronous and asynchronous; DeepSpeed's `save_checkpoint`; and
`torch.distributed.checkpoint.async_save` of the same content. Ours hash every byte and flush it to the disk before the
checkpoint counts; DeepSpeed's and PyTorch's files are left to the page cache. Then the time from process start to the
end of the first optimiser step, fresh and from a checkpoint.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import record
from benchmarks.checkpoint import STEPS
from launch.job.ports import LOOPBACK, free_port

RANKS = 2


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checkpoint", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="saves of each kind (default %(default)s)")
    parser.add_argument("--starts", type=int, default=3, metavar="N", help="starts of each kind (default %(default)s)")
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="where checkpoints are written (default: TMPDIR)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
        figures, _ = ranks("save", scratch, str(args.rounds))
        files = [file for file in Path(scratch, "ours").rglob("*") if file.is_file()]
        size = sum(file.stat().st_size for file in files) / 2**20
        starts: dict[str, list[float]] = {"fresh": [], "resumed": []}
        for _ in range(args.starts):
            starts["fresh"].append(seconds_to_first_step(str(Path(scratch, "empty"))))
            starts["resumed"].append(seconds_to_first_step(scratch))
    found = {name: summary(rows, figures["nothing"]) for name, rows in figures.items()}
    step = median(row["total"] for row in figures["nothing"]) / STEPS
    rows = [*saving(found, step), *starting(starts)]
    note = (
        f"{RANKS} ranks, ZeRO 1, fp32, {size:.0f} MiB per checkpoint; medians of {args.rounds} interleaved rounds; an "
        f"optimiser step takes {step:.3f} s. Blocked: the training's thread waits. Delay: how much later {STEPS} steps "
        "end that follow a save, its end included; on two cores, writing takes its time from the two ranks. "
        "Memory: the peak above what the process held before. Only ours hashes and flushes to the disk."
    )
    path = record.write("checkpoint", rows, note, step_seconds=step, medians=found, starts=starts, rounds=figures)
    print(path.with_suffix(".md").read_text())


def summary(rows: list[dict[str, float]], nothing: list[dict[str, float]]) -> dict[str, float]:
    """Medians over the rounds; what is compared with saving nothing is compared within its round."""
    return {
        "blocked": median(row["blocked"] for row in rows),
        "delay": median(row["total"] - idle["total"] for row, idle in zip(rows, nothing, strict=True)),
        "memory": median(row["memory"] - idle["memory"] for row, idle in zip(rows, nothing, strict=True)),
    }


def saving(found: dict[str, dict[str, float]], step: float) -> list[dict[str, Any]]:
    """Each of our ways compared with the others."""
    rows = []
    for mode, peer in (
        ("synchronous", "DeepSpeed save_checkpoint"),
        ("asynchronous", "DeepSpeed save_checkpoint"),
        ("asynchronous", "torch async_save"),
    ):
        ours, theirs = found[f"ours, {mode}"], found[peer]
        for what, unit, scale in (("blocked", "steps", step), ("delay", "steps", step), ("memory", "MiB", 2**20)):
            pair = ours[what] / scale, theirs[what] / scale
            rows.append(record.row(f"{what} per save, {mode}", *pair, peer, unit, smaller_is_better=True))
    return rows


def starting(starts: dict[str, list[float]]) -> list[dict[str, Any]]:
    ours, peer = median(starts["resumed"]), median(starts["fresh"])
    return [record.row("process start to first step, resumed", ours, peer, "fresh start", "s", smaller_is_better=True)]


def seconds_to_first_step(folder: str) -> float:
    ended, began = ranks("start", folder)
    return float(ended) - began


def ranks(*arguments: str) -> tuple[Any, float]:
    """Run `rank.py` on all ranks; what rank 0 answers, and when they were started."""
    group = {"MASTER_ADDR": LOOPBACK, "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(RANKS), "OMP_NUM_THREADS": "1"}
    began = time.time()
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.checkpoint.rank", *arguments],
            env={**os.environ, **group, "RANK": str(rank), "LOCAL_RANK": str(rank), "CUDA_VISIBLE_DEVICES": ""},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(RANKS)
    ]
    said = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit("a rank failed")
    return json.loads(said[0].rsplit("RESULT", 1)[1]), began


if __name__ == "__main__":
    main()
