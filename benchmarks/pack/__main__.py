"""`python -m benchmarks.pack [--utterances N] [--rounds R]`: writes benchmarks/results/pack.{json,md}.

Contestants take turns in every round, each in a process of its own; processor time includes its children. Nothing is
reported unless both wrote the same bytes of every sample.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import record

CORPORA = ("iemocap", "meld")
PLAIN = "plain loop"


@dataclass(frozen=True)
class Figure:
    """One run."""

    samples: int
    seconds: float
    cpu: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pack", description=__doc__)
    parser.add_argument("--utterances", type=int, default=160, help="of each synthetic corpus (default 160)")
    parser.add_argument("--rounds", type=int, default=3, help="default 3")
    parser.add_argument("--corpora", type=Path, help="keep the synthetic corpora here, and use them if they are there")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    load = [os.getloadavg()[0]]
    with tempfile.TemporaryDirectory(prefix="bench-pack-") as scratch:
        for corpus in CORPORA:
            source = (options.corpora or Path(scratch)) / f"{corpus}-{options.utterances}"
            if not source.exists():
                synthesise(corpus, source, options.utterances)
            rows += compare(corpus, source, Path(scratch), options.rounds)
            load.append(os.getloadavg()[0])
    note = (
        f"Medians of {options.rounds} rounds; the same decoders, encoders and bytes. Load averages while it ran: "
        + ", ".join(f"{value:.1f}" for value in load)
        + "; above the number of cores, wall-clock figures say little."
    )
    print(record.write("pack", rows, note).with_suffix(".md").read_text())


def synthesise(corpus: str, folder: Path, utterances: int) -> None:
    from shards.synthetic import generate

    folder.parent.mkdir(parents=True, exist_ok=True)
    generate(corpus, folder, utterances, workers=os.cpu_count() or 1)  # type: ignore[arg-type]


def compare(corpus: str, source: Path, scratch: Path, rounds: int) -> list[dict[str, Any]]:
    commands = {
        PLAIN: [sys.executable, "-m", "benchmarks.pack.plain", corpus, str(source)],
        **{
            f"{n}": [sys.executable, "-m", "shards.pack", corpus, str(source), "--workers", str(n), "--out"]
            for n in (1, 2)
        },
    }
    figures: dict[str, list[Figure]] = {name: [] for name in commands}
    reference: dict[str, bytes] | None = None
    for _ in range(rounds):
        for name, command in commands.items():
            out = scratch / "out"
            shutil.rmtree(out, ignore_errors=True)
            seconds, cpu = measured([*command, str(out)])
            found = members(out)
            reference = reference or found
            if found != reference:
                raise SystemExit(f"{corpus}: {name} wrote other bytes; nothing is reported")
            samples = sum(member.endswith(".json") for member in found)
            figures[name].append(Figure(samples, seconds, cpu))
            print(corpus, name, figures[name][-1], file=sys.stderr, flush=True)

    def median(name: str, figure: str) -> float:
        return statistics.median(getattr(one, figure) / one.samples for one in figures[name])

    rows = []
    for n in ("1", "2"):
        workers = f"{corpus}, {n} worker" + ("s" if n == "2" else "")
        rows.append(record.row(f"{workers}, CPU", median(n, "cpu"), median(PLAIN, "cpu"), PLAIN, "CPU s/sample", True))
        rate, peer = 1 / median(n, "seconds"), 1 / median(PLAIN, "seconds")
        rows.append(record.row(f"{workers}, throughput", rate, peer, PLAIN, "samples/s"))
    efficiency = median("1", "seconds") / (2 * median("2", "seconds"))
    rows.append(record.row(f"{corpus}, parallel efficiency of 2 workers", efficiency, 1.0, "perfect scaling", "share"))
    return rows


def measured(command: list[str]) -> tuple[float, float]:
    """Seconds on the clock, and of processor time with all children."""
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"failed with {process.returncode}: {' '.join(command)}")
    return time.monotonic() - began, usage.ru_utime + usage.ru_stime


def members(folder: Path) -> dict[str, bytes]:
    """Every member of every tar in a folder."""
    found = {}
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            for info in tar:
                file = tar.extractfile(info)
                found[info.name] = file.read() if file else b""
    return found


if __name__ == "__main__":
    main()
