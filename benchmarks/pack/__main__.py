"""`python -m benchmarks.pack [--utterances N] [--rounds R]`: writes benchmarks/results/pack.{json,md}.

Contestants take turns in every round, each in processes of its own; processor time is that of all of them. Nothing is
reported unless all wrote the same bytes of every sample. Two plain loops at once, each on half of the corpus and with
nothing to agree on, show how much of perfect scaling the machine itself gives.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import resource
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
PLAIN, TWO_PLAIN = "plain loop", "two plain loops at once"
_BECOME_REAPER = 36  # Linux's PR_SET_CHILD_SUBREAPER


@dataclass(frozen=True)
class Figure:
    """One run."""

    samples: int
    seconds: float
    cpu: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pack", description=__doc__)
    parser.add_argument("--utterances", type=int, default=320, help="of each synthetic corpus (default 320)")
    parser.add_argument("--rounds", type=int, default=3, help="default 3")
    parser.add_argument("--corpora", type=Path, help="keep the synthetic corpora here, and use them if they are there")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    ctypes.CDLL(None).prctl(_BECOME_REAPER, 1, 0, 0, 0)
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
    """In a process of its own, so that no child of this one is left when orphans are waited for."""
    command = [sys.executable, "-m", "launch.cli.main", "synth", corpus, "--out", str(folder)]
    subprocess.run([*command, "--utterances", str(utterances)], stdout=subprocess.DEVNULL, check=True)


def compare(corpus: str, source: Path, scratch: Path, rounds: int) -> list[dict[str, Any]]:
    out = scratch / "out"

    def plain(part: int, parts: int) -> list[str]:
        return [sys.executable, "-m", "benchmarks.pack.plain", corpus, str(source), str(out), str(part), str(parts)]

    def ours(workers: int) -> list[str]:
        command = [sys.executable, "-m", "shards.pack", corpus, str(source), "--out", str(out)]
        return [*command, "--workers", str(workers)]

    contestants = {PLAIN: [plain(0, 1)], "1": [ours(1)], TWO_PLAIN: [plain(0, 2), plain(1, 2)], "2": [ours(2)]}
    figures: dict[str, list[Figure]] = {name: [] for name in contestants}
    reference: dict[str, bytes] | None = None
    for _ in range(rounds):
        for name, commands in contestants.items():
            shutil.rmtree(out, ignore_errors=True)
            seconds, cpu = measured(commands)
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
    cpu, peer = median("2", "cpu"), median(TWO_PLAIN, "cpu")
    rows.append(record.row(f"{corpus}, 2 workers, CPU", cpu, peer, TWO_PLAIN, "CPU s/sample", True))
    efficiency = median("1", "seconds") / (2 * median("2", "seconds"))
    machine = median(PLAIN, "seconds") / (2 * median(TWO_PLAIN, "seconds"))
    case = f"{corpus}, parallel efficiency of 2 workers"
    rows.append(record.row(case, efficiency, 1.0, "perfect scaling", "share"))
    rows.append(record.row(case, efficiency, machine, TWO_PLAIN, "share"))
    return rows


def measured(commands: list[list[str]]) -> tuple[float, float]:
    """Seconds on the clock until all are done, and of processor time with every process that they left behind."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) for command in commands]
    for process in processes:
        if process.wait():
            raise SystemExit(f"failed with {process.returncode}: {process.args}")
    seconds = time.monotonic() - began
    try:
        while True:
            os.wait()  # orphans come to their nearest reaper, which `main` has made us
    except ChildProcessError:
        pass
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


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
