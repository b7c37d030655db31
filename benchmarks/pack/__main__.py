"""`python -m benchmarks.pack [--utterances N] [--rounds R]`: writes benchmarks/results/pack.{json,md}.

Contestants take turns in every round, each in processes of its own; processor time is that of all of them. Parallel
efficiency compares runs of the same round, which follow each other, as the speed of a shared machine drifts.
Nothing is reported unless all wrote the same bytes of every sample. Two plain loops at once, each on half of the corpus
and with nothing to agree on, show how much of perfect scaling the machine itself gives. Workers share as many shards as
the whole of IEMOCAP has. At last the coding of videos alone, beside that of earlier shards (`coding.py`).
"""

from __future__ import annotations

import argparse
import ctypes
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import record
from benchmarks.pack.coding import coding_rows

CORPORA = ("iemocap", "meld")
PLAIN, TWO_PLAIN = "plain loop", "two plain loops at once"
_SHARDS = 40  # 10,039 utterances at 256 each
_BECOME_REAPER = 36  # Linux's PR_SET_CHILD_SUBREAPER


@dataclass(frozen=True)
class Figure:
    """One run."""

    samples: int
    seconds: float
    cpu: float

    @property
    def cost(self) -> float:
        """Processor seconds per sample."""
        return self.cpu / self.samples

    @property
    def rate(self) -> float:
        """Samples per second."""
        return self.samples / self.seconds


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
            rows += compare(corpus, source, Path(scratch), options.utterances, options.rounds)
            load.append(os.getloadavg()[0])
    rows += coding_rows(options.rounds)
    note = (
        f"Medians of {options.rounds} rounds (in brackets the smallest and the largest ratio of one round); the same "
        "decoders, encoders and bytes; the rows of coding are the best of as many rounds. Load averages while it ran: "
        + ", ".join(f"{value:.1f}" for value in load)
        + "; above the number of cores, wall-clock figures say little."
    )
    print(record.write("pack", rows, note).with_suffix(".md").read_text())


def synthesise(corpus: str, folder: Path, utterances: int) -> None:
    """In a process of its own, so that no child of this one is left when orphans are waited for."""
    command = [sys.executable, "-m", "launch.cli.main", "synth", corpus, "--out", str(folder)]
    subprocess.run([*command, "--utterances", str(utterances)], stdout=subprocess.DEVNULL, check=True)


def compare(corpus: str, source: Path, scratch: Path, utterances: int, rounds: int) -> list[dict[str, Any]]:
    out = scratch / "out"

    def plain(part: int, parts: int) -> list[str]:
        return [sys.executable, "-m", "benchmarks.pack.plain", corpus, str(source), str(out), str(part), str(parts)]

    def ours(workers: int) -> list[str]:
        command = [sys.executable, "-m", "launch.cli.main", "pack", corpus, str(source), "--out", str(out)]
        return [*command, "--workers", str(workers), "--shard-samples", str(-(-utterances // _SHARDS))]

    contestants = {PLAIN: [plain(0, 1)], TWO_PLAIN: [plain(0, 2), plain(1, 2)], "1": [ours(1)], "2": [ours(2)]}
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

    def of_rounds(name: str, figure: str) -> list[float]:
        return [getattr(one, figure) for one in figures[name]]

    def compared(case: str, unit: str, ours: list[float], peers: list[float], peer: str, smaller: bool = False) -> None:
        ratios = [b / a if smaller else a / b for a, b in zip(ours, peers, strict=True)]
        rows.append(record.row(case, median(ours), median(peers), peer, unit, smaller, ratios))

    def efficiency(one: str, two: str) -> list[float]:
        pairs = zip(of_rounds(one, "seconds"), of_rounds(two, "seconds"), strict=True)
        return [alone / (2 * together) for alone, together in pairs]

    rows: list[dict[str, Any]] = []
    for n, workers in (("1", "1 worker"), ("2", "2 workers")):
        for peer in (PLAIN,) if n == "1" else (PLAIN, TWO_PLAIN):
            for figure, unit in (("cost", "CPU s/sample"), ("rate", "samples/s")):
                case = f"{corpus}, {workers}, " + ("CPU" if figure == "cost" else "throughput")
                compared(case, unit, of_rounds(n, figure), of_rounds(peer, figure), peer, figure == "cost")
    case, ours = f"{corpus}, parallel efficiency of 2 workers", efficiency("1", "2")
    compared(case, "share", ours, [1.0] * rounds, "perfect scaling")
    compared(case, "share", ours, efficiency(PLAIN, TWO_PLAIN), TWO_PLAIN)
    return rows


def measured(commands: list[list[str]]) -> tuple[float, float]:
    """Seconds on the clock until all are done, and of processor time with every process that they started."""
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
