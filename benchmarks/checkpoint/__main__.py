"""`python -m benchmarks.checkpoint`: what saving costs a training, compared with DeepSpeed and PyTorch.

Two ranks hold a DUAL of ten million parameters under ZeRO 1, or as much generated state as is asked for, and save it in
turn by each way, interleaved, in one process group: this project's saver, synchronous and asynchronous; DeepSpeed's
`save_checkpoint` as it is, with a flush, and with a flush and a hash; `torch.distributed.checkpoint.async_save` of the
same content, which flushes, as it is and with a hash. Then they verify and resume it, under a manifest of today's hash
and of sha256. Last the time from process start to the end of the first optimiser step, fresh and from a checkpoint.
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
from launch.job.ports import LOOPBACK, free_port

RANKS = 2


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checkpoint", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="saves of each kind (default %(default)s)")
    parser.add_argument("--steps", type=int, default=6, metavar="N", help="after every save (default %(default)s)")
    parser.add_argument("--starts", type=int, default=3, metavar="N", help="starts of each kind (default %(default)s)")
    parser.add_argument("--gib", type=float, default=0, metavar="N", help="also so much generated state per rank")
    parser.add_argument("--large-rounds", type=int, default=3, metavar="N", help="saves of it (default %(default)s)")
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="where checkpoints are written (default: TMPDIR)")
    args = parser.parse_args()
    starts: dict[str, list[float]] = {"fresh": [], "resumed": []}
    parts: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
        parts.append(measured("", scratch, args.rounds, args.steps))
        write(parts, starts, args.steps)
        for _ in range(args.starts):
            starts["fresh"].append(seconds_to_first_step(str(Path(scratch, "empty"))))
            starts["resumed"].append(seconds_to_first_step(scratch))
    if args.gib:
        with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
            parts.append(measured(f", {args.gib:g} GiB per rank", scratch, args.large_rounds, args.steps, args.gib))
    print(write(parts, starts, args.steps).with_suffix(".md").read_text())


def write(parts: list[dict[str, Any]], starts: dict[str, list[float]], steps: int) -> Path:
    """What is known so far."""
    rows = [row for part in parts for row in part["rows"]] + (starting(starts) if starts["resumed"] else [])
    note = (
        f"{RANKS} ranks, ZeRO 1, fp32; medians of interleaved rounds. "
        + " ".join(part["note"] for part in parts)
        + f" Blocked: the training's thread waits. Delay: how much later {steps} step(s) end that follow a save, its "
        "end included; on two cores, writing takes its time from the two ranks. Processor: time that a save without "
        "steps takes from the cores, with the kernel's for its calls, without that of writing back the page cache; "
        "alone: how long it lasts. Memory: the peak above "
        "what the process held before. Ours flushes and hashes with BLAKE3; DeepSpeed does neither, torch flushes; the "
        "others say what was added to them. Nobody's time to delete earlier checkpoints counts. Files to verify and "
        "resume lie in the page cache; sha256 is how earlier versions did it: that hash, one file after the other, "
        "then read into new memory, where ours maps the files."
    )
    return record.write("checkpoint", rows, note, starts=starts, parts=parts)


def measured(case: str, scratch: str, rounds: int, steps: int, gib: float = 0) -> dict[str, Any]:
    """All figures of one size of state, their rows and a sentence about them."""
    figures, _ = ranks("save", scratch, str(rounds), str(gib), str(steps))
    files = [file for file in Path(scratch, "ours").rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    reads, _ = ranks("read", scratch, str(rounds), str(gib))
    found = {name: summary(rows, figures["nothing"]) for name, rows in figures.items()}
    step = median(row["total"] for row in figures["nothing"]) / steps
    return {
        "note": f"{size / 2**20:,.0f} MiB per checkpoint, {rounds} rounds, a step takes {step:.3f} s.",
        "rows": [*saving(found, step, case), *reading(reads, size, case)],
        "step_seconds": step,
        "medians": found,
        "rounds": figures,
        "reads": reads,
    }


def summary(rows: list[dict[str, float]], nothing: list[dict[str, float]]) -> dict[str, float]:
    """Medians over the rounds; what is compared with saving nothing is compared within its round."""

    def above(what: str) -> float:
        return median(row[what] - idle[what] for row, idle in zip(rows, nothing, strict=True))

    return {
        "blocked": median(row["blocked"] for row in rows),
        "delay": above("total"),
        "processor": above("processor"),
        "alone": median(row["alone"] for row in rows),
        "memory": above("memory"),
    }


def saving(found: dict[str, dict[str, float]], step: float, case: str = "") -> list[dict[str, Any]]:
    """Each of our ways compared with the others."""
    rows = []
    units = (
        ("blocked", "steps", step),
        ("delay", "steps", step),
        ("processor", "steps", step),
        ("alone", "steps", step),
        ("memory", "MiB", 2**20),
    )
    for mode in ("synchronous", "asynchronous"):
        for peer in (name for name in found if name.startswith(("DeepSpeed", "torch"))):
            if mode == "synchronous" and peer.startswith("torch"):
                continue
            for what, unit, scale in units:
                pair = found[f"ours, {mode}"][what] / scale, found[peer][what] / scale
                rows.append(record.row(f"{what} per save, {mode}{case}", *pair, peer, unit, smaller_is_better=True))
    return rows


def reading(reads: dict[str, list[dict[str, float]]], size: int, case: str = "") -> list[dict[str, Any]]:
    """Bytes per second with the hash of today and of before."""
    rows = []
    for what in ("verify", "resume"):
        ours, before = ([row["total"] for row in reads[f"{what}, {name}"]] for name in ("blake3", "sha256"))
        pair = size / 2**30 / median(ours), size / 2**30 / median(before)
        ratios = [b / a for a, b in zip(ours, before, strict=True)]
        rows.append(record.row(f"{what}{case}", *pair, "sha256", "GiB/s", ratios=ratios))
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
