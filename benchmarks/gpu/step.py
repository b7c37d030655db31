"""Part 4: where a step's time goes, from media and from features: shares, samples per second, memory, idle device.

python -m benchmarks.gpu.step SHARDS [--features FEATURES] FOLDER --out FACTS
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import median

from benchmarks.gpu.facts import Facts
from benchmarks.gpu.one_rank import create, metrics, train

PHASES = ("data_wait", "forward", "backward", "reduction", "rank_wait", "optimizer", "save_stall")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.step", description=__doc__)
    parser.add_argument("shards")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--features")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    facts = Facts(options.out)
    for kind, shards in (("media", options.shards), ("features", options.features)):
        if not shards:
            facts.add(f"{kind}: samples per second", "not measured: no such shards were given")
            continue
        run, profiled = options.folder / f"{kind}-step", options.folder / f"{kind}.json"
        create(run, shards, ["checkpoint.every_steps=1000"])
        train(run, "--profile", str(profiled))
        steps = metrics(run)
        steps = steps[len(steps) // 2 :]  # the first ones compile kernels and fill buffers
        facts.add(f"{kind}: samples per second", figure([s["train/samples_per_second"] for s in steps]))
        for phase in PHASES:
            if shares := [s[f"train/{phase}"] for s in steps if f"train/{phase}" in s]:
                facts.add(f"{kind}: {phase}", figure(shares), "of a step")
        if memory := [s["train/device_memory_gb"] for s in steps if "train/device_memory_gb" in s]:
            facts.add(f"{kind}: peak memory", round(max(memory), 2), "GB")
        found = json.loads(profiled.read_text(encoding="utf-8"))
        idle = found["idle"] if found["idle"] is not None else "no GPU was used"
        facts.add(f"{kind}: the device was idle, under the profiler", idle, longest=found["longest"])


def figure(values: list[float]) -> float:
    """The median, to three digits."""
    return float(f"{median(values):.3g}")


if __name__ == "__main__":
    main()
