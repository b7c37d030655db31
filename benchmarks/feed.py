"""Is the step fed? Loading and computing overlapped, with computing planted: writes benchmarks/results/feed.{json,md}.

Computing is a sleep of as long as loading a micro-batch takes, which is measured in the same round. So no step can be
shorter than its loading, and 1.0 means that none of the loading is seen. In one case loading is planted as well (the
workers sleep for each sample), in the other clips are decoded.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks import record
from benchmarks.loader import corpus
from dual_hpc.config.schema import DataConfig
from dual_hpc.data import feed
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.loader import TrainLoader
from dual_hpc.data.workers import pool

WORKERS = 2
MICRO_BATCH, ACCUMULATION = 4, 8
SAMPLE_SECONDS = 0.025  # planted
PLANTED_MAIN = f"""
import sys, time
sys.path[:] = filter(None, sys.path)
from dual_hpc.data.decoding.decoder import SampleDecoder
decode = SampleDecoder.decode
def slow(self, request, members):
    time.sleep({SAMPLE_SECONDS})
    return decode(self, request, members)
SampleDecoder.decode = slow
from dual_hpc.data.workers.worker import main
main()
"""
MicroBatches = Iterator[Any]
Contestant = Callable[[Path], tuple[MicroBatches, Callable[[], None]]]


def ours(folder: Path) -> tuple[MicroBatches, Callable[[], None]]:
    loader = _loader(folder)
    return loader.micro_batches(), loader.close


def collected(folder: Path) -> tuple[MicroBatches, Callable[[], None]]:
    """As it was before: no thread, work handed out inside `next`, and a step begins with its last micro-batch."""
    loader = _loader(folder)
    steps = iter(loader)
    return (micro_batch for step in steps for micro_batch in step), loader.close


class Planted(Dataset[torch.Tensor]):
    """What the workers of torch's loader do in as much time."""

    def __len__(self) -> int:
        return 10**6

    def __getitem__(self, number: int) -> torch.Tensor:
        time.sleep(SAMPLE_SECONDS)
        return torch.zeros(100, 256)


def torch_loader(folder: Path) -> tuple[MicroBatches, Callable[[], None]]:
    return iter(DataLoader(Planted(), MICRO_BATCH, num_workers=WORKERS, prefetch_factor=2)), lambda: None


def _loader(folder: Path) -> TrainLoader:
    dataset = ShardDataset([folder])
    size = MICRO_BATCH * ACCUMULATION
    config = DataConfig(max_seconds=10, global_batch=size, micro_batch=MICRO_BATCH, workers=WORKERS, image_size=112)
    return TrainLoader(dataset, range(len(dataset)), range(len(dataset)), config, None, None, seed=0)


def seconds_per_step(contestant: Contestant, folder: Path, steps: int, compute: float, threaded: bool = True) -> float:
    """After one step, in which workers start: the mean over the steps, each with `compute` seconds per micro-batch."""
    run_ahead = feed.RunAhead
    if not threaded:
        feed.RunAhead = lambda items, depth, interrupt: items  # type: ignore[assignment, misc]
    micro_batches, close = contestant(folder)
    try:
        times = [time.monotonic()]
        for _ in range(steps + 1):
            for _ in itertools.islice(micro_batches, ACCUMULATION):
                time.sleep(compute)
            times.append(time.monotonic())
    finally:
        close()
        feed.RunAhead = run_ahead  # type: ignore[misc]
    return statistics.mean(after - before for before, after in itertools.pairwise(times[1:]))


def compare(case: str, folder: Path, contestants: dict[str, Contestant], steps: int, rounds: int) -> list[Any]:
    """Contestants in turn; of each the time of a step over that of its loading alone."""
    ratios: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        loading = seconds_per_step(ours, folder, steps, 0.0)
        for name, contestant in contestants.items():
            taken = seconds_per_step(contestant, folder, steps, loading / ACCUMULATION, contestant is not collected)
            ratios[name].append(taken / loading)
            print(f"{case}: {name}: {taken:.3f} s, loading alone {loading:.3f} s", file=sys.stderr, flush=True)
    mine = ratios.pop("ours")
    return [
        record.row(
            case,
            statistics.median(mine),
            statistics.median(theirs),
            name,
            "step / max(loading, computing)",
            smaller_is_better=True,
            ratios=[b / a for a, b in zip(mine, theirs, strict=True)],
        )
        for name, theirs in ratios.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.feed", description=__doc__)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    before = os.getloadavg()[0]
    rows: list[Any] = []
    peers: dict[str, Contestant] = {"ours": ours, "collected in next(), no thread": collected}
    with tempfile.TemporaryDirectory(prefix="bench-feed-") as folder:
        for kind, samples in (("features", 256), ("media", 64)):
            corpus.write(Path(folder) / kind, kind, samples, ())
        workers_main = pool._MAIN
        pool._MAIN = PLANTED_MAIN
        planted = {**peers, "torch DataLoader": torch_loader}
        rows += compare("planted loading", Path(folder) / "features" / "shards", planted, options.steps, options.rounds)
        pool._MAIN = workers_main
        rows += compare("clips decoded", Path(folder) / "media" / "shards", peers, options.steps, options.rounds)
    note = (
        f"{WORKERS} workers, steps of {ACCUMULATION} micro-batches of {MICRO_BATCH}; medians of {options.rounds} "
        f"rounds of {options.steps} steps. Computing is a sleep as long as loading alone takes in the same round, so "
        f"1.0 is the least. Load averages before and after: {before:.1f}, {os.getloadavg()[0]:.1f}, which disturb all "
        "alike."
    )
    print(record.write("feed", rows, note, rounds=options.rounds).with_suffix(".md").read_text())


if __name__ == "__main__":
    main()
