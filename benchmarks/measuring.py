"""`make bench-measuring`: what the measuring of a training costs, in processor time.

Real optimiser steps of DUAL (the demo's sizes, drawn batches, one rank on the processor), in blocks of five steps as
between two logged ones. In turn a block is measured as in a training (phases, the row for the other ranks, the shares,
the judgement) and not at all; the order within a pair is drawn. Then the same calls without a model, which says it with
less noise, and a sample of a node's system metrics, as often as they are taken.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks import record
from dual_hpc.config import load_config
from dual_hpc.model import build_model
from dual_hpc.model.family import FAMILIES
from dual_hpc.monitor.gpus import Gpus
from dual_hpc.monitor.host import meminfo, read_counters, values
from dual_hpc.run.journal import Journal
from dual_hpc.training.bottleneck import Judge
from dual_hpc.training.phase_times import REST, PhaseTimes
from dual_hpc.training.rank_times import RankTimes, spread, table_of
from dual_hpc.training.step import RankRequests, train_step

CPU = torch.device("cpu")
EVERY = load_config("demo").training.log_every
SYSTEM_SECONDS = load_config("demo").tracking.system_seconds
BATCH, SECONDS = 8, 2.0


class NoTimes:
    """In place of `PhaseTimes`: measures nothing."""

    def begin(self, phase: str) -> None: ...

    def end(self, phase: str) -> None: ...


class World:
    """One rank."""

    device, rank, size = CPU, 0, 1

    def all_reduce_sum(self, values: torch.Tensor) -> torch.Tensor:
        return values

    def all_gather(self, value: Any) -> list[Any]:
        return [value]


class Engine:
    """DUAL with an optimizer, without DeepSpeed, so that the step is as short as it can be."""

    accumulation = 1
    family = FAMILIES.get("dual")

    def __init__(self) -> None:
        config = load_config("demo", ["model.use_text=false"])
        preprocessing = {"sample_rate": 16_000, "video_hz": config.data.video_hz, "image_size": config.data.image_size}
        preprocessing |= {"max_seconds": config.data.max_seconds, "max_tokens": config.data.max_tokens}
        self.deepspeed: Any = build_model(config.model, ["angry", "happy", "neutral", "sad"], preprocessing, None, None)
        self.optimizer = torch.optim.AdamW(self.deepspeed.parameters())
        frames = int(SECONDS * config.data.video_hz)
        side = config.data.image_size
        self.batch = {
            "keys": [str(n) for n in range(BATCH)],
            "labels": torch.arange(BATCH) % 4,
            "durations": torch.full((BATCH,), SECONDS),
            "waveform": torch.randn(BATCH, int(16_000 * SECONDS)),
            "waveform_lengths": torch.full((BATCH,), int(16_000 * SECONDS)),
            "frames": torch.randint(0, 255, (BATCH, frames, 3, side, side), dtype=torch.uint8),
            "frame_lengths": torch.full((BATCH,), frames),
        }

    def backward(self, loss: torch.Tensor) -> None:
        loss.backward()

    def finish_step(self, apply: bool) -> bool:
        self.optimizer.step()
        self.optimizer.zero_grad()
        return apply

    def grad_norm(self) -> float:
        return 1.0

    def gradient_is_finite(self) -> bool:
        return True


class Measured:
    """What a session does around its steps to know where their time goes."""

    def __init__(self) -> None:
        self.times = PhaseTimes.on(CPU)
        self.ranks = RankTimes(self.times, 0, 1)
        self.judge = Judge(["here"], "")

    def log(self, rank_seconds: list[dict[str, float]]) -> None:
        self.times.shares()
        spread(rank_seconds)
        self.judge.after_interval(EVERY, rank_seconds)

    def calls(self) -> None:
        """Those of a block, without a model."""
        for _ in range(EVERY):
            for phase in ("data_wait", "forward", "backward"):
                self.times.begin(phase)
                self.times.end(phase)
            self.times.end("rank_wait")
            self.times.begin("optimizer")
            self.times.end("optimizer")
            self.times.end(REST)
        self.log(table_of(self.ranks.row(CPU).tolist()))


def block(engine: Engine, measured: Measured | None) -> float:
    """Processor seconds of the steps between two logged ones."""
    times: Any = measured.times if measured is not None else NoTimes()
    world: Any = World()
    began = time.process_time()
    for step in range(1, EVERY + 1):
        times.end(REST)
        ranks = measured.ranks if measured is not None and step == EVERY else None
        report = train_step(engine, [engine.batch], world, RankRequests, times, ranks)  # type: ignore[arg-type]
    if measured is not None:
        measured.log(report.rank_seconds)
    return time.process_time() - began


def cost_of(work: Any, rounds: int) -> float:
    """Processor seconds of one call, of the fastest of five rounds."""
    found = []
    for _ in range(5):
        began = time.process_time()
        for _ in range(rounds):
            work()
        found.append((time.process_time() - began) / rounds)
    return min(found)


def interval(differences: list[float], chance: random.Random) -> tuple[float, float]:
    """95 % of the means of drawn pairs."""
    means = sorted(sum(chance.choices(differences, k=len(differences))) / len(differences) for _ in range(2000))
    return means[50], means[-51]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.measuring", description=__doc__)
    parser.add_argument("--pairs", type=int, default=100)
    options = parser.parse_args()
    torch.set_num_threads(1)
    chance, load = random.Random(0), os.getloadavg()[0]
    engine, measured = Engine(), Measured()
    for _ in range(3):
        block(engine, measured)
    with_it, without = [], []
    for _ in range(options.pairs):
        for this in chance.sample((True, False), 2):
            (with_it if this else without).append(block(engine, measured if this else None))
    usual = median(without)
    shares = [100 * (one - other) / usual for one, other in zip(with_it, without, strict=True)]
    low, high = interval(shares, chance)
    calls = cost_of(measured.calls, 200)
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "n.jsonl") as journal:
        before, gpus = read_counters(), Gpus()

        def sample() -> None:
            found = values(before, before, read_counters(), meminfo(), folder) | gpus.values()
            journal.metrics(0, {f"system/{name}": round(value, 3) for name, value in found.items()})

        system = cost_of(sample, 50)
    per_core = 100 * system / SYSTEM_SECONDS
    rows = [
        record.row("a block of steps, measured", 1000 * median(with_it), 1000 * usual, "not measured",
                   "ms of processor, median", smaller_is_better=True),
        record.row("mean difference of the pairs", sum(shares) / len(shares), 0.5, "the limit",
                   "% of a block", smaller_is_better=True),
        record.row("the measuring calls of a block alone", 100 * calls / usual, 0.5, "the limit",
                   "% of a block", smaller_is_better=True),
        record.row("system metrics of a node", per_core, 0.5, "the limit", "% of one core", smaller_is_better=True),
    ]  # fmt: skip
    note = (
        f"{options.pairs} pairs of blocks of {EVERY} steps; the mean difference is {sum(shares) / len(shares):.2f} % "
        f"(95 % of drawn means {low:.2f} to {high:.2f}), the median {median(shares):.2f} %. The calls of a block take "
        f"{1e6 * calls:.0f} us, a sample of the node {1e6 * system:.0f} us every {SYSTEM_SECONDS:.0f} s. Load "
        f"{load:.1f} at the beginning."
    )
    record.write("measuring", rows, note, pairs=list(zip(with_it, without, strict=True)))
    print(note, *rows, sep="\n")


if __name__ == "__main__":
    main()
