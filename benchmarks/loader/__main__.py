"""`python -m benchmarks.loader [--samples N] [--rounds R]`: writes benchmarks/results/loader.{json,md}."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from benchmarks.loader import corpus
from benchmarks.loader.peers import BATCH, CONTESTANTS
from benchmarks.loader.resume import resume_ratio, shuffle_spread

RESULTS = Path(__file__).parents[1] / "results"
ERRORS = Console(stderr=True)
Figures = dict[str, list[dict[str, float]]]  # contestant -> what each round measured


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loader", description=__doc__)
    parser.add_argument("--samples", type=int, default=192, help="media samples per round and contestant")
    parser.add_argument("--features", type=int, default=4096, help="feature samples per round and contestant")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; contestants take turns in each")
    options = parser.parse_args()
    names = list(CONTESTANTS)
    if importlib.util.find_spec("streaming") is None:
        names.remove("mosaicml-streaming")
    rows: list[dict[str, Any]] = []
    raw: dict[str, Figures] = {}
    load = [os.getloadavg()[0]]
    with tempfile.TemporaryDirectory(prefix="bench-loader-") as folder:
        for kind, samples in (("media", options.samples), ("features", options.features)):
            place = Path(folder) / kind
            corpus.write(place, kind, samples, "mosaicml-streaming" in names)
            raw[kind] = measure(kind, place, names, samples // BATCH, options.rounds)
            rows += compare(kind, raw[kind])
        zero, far = resume_ratio(Path(folder) / "features")
        load.append(os.getloadavg()[0])
    rows.append(row("first batch at step 10^6", far, zero, "step 0", "CPU s", smaller_is_better=True))
    for window in (1, 8, 64):
        spread = shuffle_spread(window)
        rows.append(
            row(f"shuffle spread, window {window} of 64 shards", spread, 1.0, "full permutation", "variance", True)
        )
    report = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load average {load[0]:.1f} to {load[1]:.1f}",
        "command": " ".join(["python -m benchmarks.loader", *sys.argv[1:]]),
        "commit": subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip(),
        "rounds": options.rounds,
        "rows": rows,
        "raw": raw,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "loader.json").write_text(json.dumps(report, indent=1) + "\n")
    (RESULTS / "loader.md").write_text(markdown(report))
    print(markdown(report))


def measure(kind: str, folder: Path, names: list[str], batches: int, rounds: int) -> Figures:
    """Contestants in turn, `rounds` times."""
    turns = [name for _ in range(rounds) for name in names]
    figures: Figures = {name: [] for name in names}
    for name in track(turns, description=kind, console=ERRORS, disable=not ERRORS.is_terminal):
        command = [sys.executable, "-m", "benchmarks.loader.measure", name, str(folder), str(batches)]
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=env)
        figures[name].append(json.loads(done.stdout.splitlines()[-1]))
        if not ERRORS.is_terminal:
            print(kind, name, figures[name][-1], file=sys.stderr, flush=True)
    return figures


def compare(kind: str, figures: Figures) -> list[dict[str, Any]]:
    """Speeds are those of the best round, since other work on the machine only slows; memory is the median."""

    def of(name: str, figure: str) -> float:
        values = [one[figure] for one in figures[name]]
        return statistics.median(values) if figure == "memory_mb" else max(values)

    rows = []
    for figure, unit in (("per_cpu_second", "clip s / CPU s"), ("per_second", "clip s / s"), ("memory_mb", "MB")):
        for name in figures:
            if name != "ours" and (name != "decode limit" or figure == "per_cpu_second"):
                smaller = figure == "memory_mb"
                rows.append(row(f"{kind}, {unit}", of("ours", figure), of(name, figure), name, unit, smaller))
    return rows


def row(
    case: str, ours: float, peer: float, peer_name: str, unit: str, smaller_is_better: bool = False
) -> dict[str, Any]:
    """ratio > 1: ours is better."""
    ratio = peer / ours if smaller_is_better else ours / peer
    figures = {"ours": ours, "peer": peer, "ratio": ratio}
    return {"case": case, "peer_name": peer_name, "unit": unit, **{k: float(f"{v:.4g}") for k, v in figures.items()}}


def markdown(report: dict[str, Any]) -> str:
    lines = [
        "# Loader",
        "",
        f"{report['machine']}; `{report['command']}`; commit {report['commit'][:12]}; "
        f"best of {report['rounds']} rounds, of memory the median; all rounds are in loader.json.",
        "",
        "| case | ours | peer | of | ratio (> 1: ours is better) |",
        "|---|---:|---:|---|---:|",
    ]
    lines += [
        f"| {r['case']} | {r['ours']:g} | {r['peer']:g} | {r['peer_name']} | {r['ratio']:.2f} |" for r in report["rows"]
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
