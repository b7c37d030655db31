"""The loader compared with its peers: writes benchmarks/results/loader.{json,md}.

Contestants take turns; every figure and every ratio is the median of the rounds; with each ratio, the smallest
and the largest of one round.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from benchmarks import record
from benchmarks.loader import corpus
from benchmarks.loader.peers import BATCH, CONTESTANTS, MEDIA_ONLY, OPTIONAL
from benchmarks.loader.resume import resume_ratio, shuffle_spread

ERRORS = Console(stderr=True)
Figures = dict[str, list[dict[str, float]]]  # contestant -> what each round measured
KINDS = ("media", "faces", "features")
FIGURES = (
    ("per_cpu_second", "processor time", "clip s / CPU s"),
    ("per_second", "wall time", "clip s / s"),
    ("memory_mb", "memory", "MB"),
)
NOTE = """Medians of {rounds} rounds in which contestants take turns, one worker process each; load averages before and
after: {before:.1f}, {after:.1f} (above the number of cores, figures per second of wall time say little). The same
decoding and padding for everyone but SPDL, which has a decoder of its own. Ours reads videos that packing coded for the
grid of times, the others ordinary videos of the same pictures (the coding of our earlier shards) unless a row says
otherwise; faces are drawn heads of 224 x 224 with the noise of a camera. The decode limit
decodes bytes in memory, in one process, and does nothing else.
Memory is what the process tree has for itself and the shared memory taken since it started, without the pages of
libraries, which all processes of a machine share."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loader", description=__doc__)
    parser.add_argument("--samples", type=int, default=128, help="media samples per round and contestant")
    parser.add_argument("--features", type=int, default=1024, help="feature samples per round and contestant")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="what to load (default: all)")
    options = parser.parse_args()
    absent = [name for name, module in OPTIONAL.items() if not _is_there(module)]
    names = [name for name in CONTESTANTS if name not in absent]
    if absent:
        ERRORS.print(f"not installed (see benchmarks/loader/__init__.py), left out: {', '.join(absent)}")
    rows: list[dict[str, Any]] = []
    raw: dict[str, Figures] = {}
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bench-loader-") as folder:
        for kind in options.kinds:
            data, samples = Path(folder) / kind, options.features if kind == "features" else options.samples
            corpus.write(data, kind, samples, names)
            those = [name for name in names if kind != "features" or name not in MEDIA_ONLY]
            raw[kind] = measure(kind, data, those, samples // BATCH, options.rounds)
            rows += compare(kind, raw[kind])
        zero, far = resume_ratio(data)
    rows.append(record.row("first batch at step 10^6", far, zero, "step 0", "CPU s", smaller_is_better=True))
    for window in (1, 8, 64):
        case, spread = f"shuffle spread, window {window} of 64 shards", shuffle_spread(window)
        rows.append(record.row(case, spread, 1.0, "full permutation", "variance", smaller_is_better=True))
    note = " ".join(NOTE.split()).format(rounds=options.rounds, before=before, after=os.getloadavg()[0])
    name = "loader" if len(options.kinds) == len(KINDS) else "_".join(["loader", *options.kinds])
    print(
        record.write(name, rows, note, module="loader", rounds=options.rounds, raw=raw).with_suffix(".md").read_text()
    )


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def measure(kind: str, folder: Path, names: list[str], batches: int, rounds: int) -> Figures:
    """Contestants in turn, `rounds` times."""
    turns = [name for _ in range(rounds) for name in names]
    figures: Figures = {name: [] for name in names}
    for name in track(turns, description=kind, console=ERRORS, disable=not ERRORS.is_terminal):
        command = [sys.executable, "-m", "benchmarks.loader.measure", name, str(folder), str(batches)]
        env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=env)
        figures[name].append(json.loads(done.stdout.splitlines()[-1]))
        if not ERRORS.is_terminal:
            print(kind, name, figures[name][-1], file=sys.stderr, flush=True)
    return figures


def compare(kind: str, figures: Figures) -> list[dict[str, Any]]:
    """Ours compared with each peer: the medians, and the spread of the ratio over the rounds."""
    rows = []
    for figure, what, unit in FIGURES:
        ours = [one[figure] for one in figures["ours"]]
        for name in figures:
            if name == "ours" or (name.startswith("decode limit") and figure != "per_cpu_second"):
                continue
            theirs = [one[figure] for one in figures[name]]
            smaller = figure == "memory_mb"
            medians = statistics.median(ours), statistics.median(theirs)
            ratios = [b / a if smaller else a / b for a, b in zip(ours, theirs, strict=True)]
            rows.append(record.row(f"{kind}, {what}", *medians, name, unit, smaller, ratios))
    return rows


if __name__ == "__main__":
    main()
