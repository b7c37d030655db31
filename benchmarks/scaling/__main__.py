"""`python -m benchmarks.scaling`: what grows with the number of ranks and of samples, and how fast.

Hundreds of ranks are threads of one process, so the seconds are those of two shared cores doing the work of all ranks;
counts (files, sockets, files opened, bytes) are what each rank of a real job has. `docs/scaling.md` says what follows.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import record
from benchmarks.scaling import checkpoints, data, job, metadata

RANKS = (8, 32, 128, 512)
UTTERANCES = (10**4, 10**5, 10**6)
SAMPLES = (10**5, 10**6, 10**7, 10**8, 10**9)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--ranks", type=int, nargs="+", default=RANKS, metavar="N")
    parser.add_argument("--samples", type=int, nargs="+", default=SAMPLES, metavar="N")
    parser.add_argument("--utterances", type=int, nargs="+", default=UTTERANCES, metavar="N")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch, "checkpoints")
        rows = [
            *measured("metadata of samples", args.utterances, metadata.opening),
            *measured("order of samples", args.samples, data.order),
            *measured("a rank's share of a step", args.ranks, data.partition),
            *measured("wait for all ranks", args.ranks, job.roll_call),
            *measured("saver's group", args.ranks, lambda n: job.connections(n, lazy=True)),
            # 512 ranks that are all connected would be 261,632 sockets of this process.
            *measured(
                "the same, all connected", [n for n in args.ranks if n <= 128], lambda n: job.connections(n, False)
            ),
            *measured("checkpoint", args.ranks, lambda n: checkpoints.life(n, root)),
            *measured("conversion to half the ranks, ZeRO 1", args.ranks, lambda n: checkpoints.conversion(n, 1)),
            *measured("conversion to half the ranks, ZeRO 3", args.ranks, lambda n: checkpoints.conversion(n, 3)),
        ]
    report = {"machine": record.machine(), "commit": record.commit(), "rows": rows}
    path = record.RESULTS / "scaling.json"
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(markdown(report), encoding="utf-8")
    print(markdown(report))


def measured(what: str, sizes: Sequence[int], measure: Callable[[int], dict[str, float]]) -> list[dict[str, Any]]:
    """One row for each figure: its value at every size, and the power of the size with which it grows at the end."""
    found = {size: measure(size) for size in sizes}
    print(f"{what}: {found}", flush=True)
    return [
        {"what": what, "figure": name, "at": {str(size): found[size][name] for size in sizes}, "growth": growth(
            {size: found[size][name] for size in sizes}
        )}
        for name in found[sizes[0]]
    ]  # fmt: skip


def growth(values: dict[int, float]) -> float | None:
    """The power g of value ~ size**g between the two largest sizes; None where one of them is not positive."""
    (small, before), (large, after) = sorted(values.items())[-2:] if len(values) > 1 else ((0, 0.0), (0, 0.0))
    return math.log(after / before) / math.log(large / small) if min(before, after, small) > 0 else None


def markdown(report: dict[str, Any]) -> str:
    """Two tables: by ranks and by samples."""
    lines = ["# Scaling", "", f"{report['machine']}; `python -m benchmarks.scaling`; commit {report['commit']}.", ""]
    lines += [
        *([report["note"], ""] if "note" in report else []),
        "Growth: the power of the size with which a figure grows between the two largest sizes (1: in proportion).",
        "Ranks are threads of one process: seconds are of two cores that do the work of all of them.",
    ]
    for sizes in sorted({tuple(row["at"]) for row in report["rows"]}, key=lambda sizes: (int(sizes[-1]), len(sizes))):
        lines += [
            "",
            f"| what | {' | '.join(f'{int(s):,}' for s in sizes)} | growth |",
            "|---|" + "---:|" * (len(sizes) + 1),
        ]
        for row in report["rows"]:
            if tuple(row["at"]) == sizes:
                grown = "–" if row["growth"] is None else f"{row['growth']:.2f}"
                values = " | ".join(f"{value:.4g}" for value in row["at"].values())
                lines.append(f"| {row['what']}: {row['figure']} | {values} | {grown} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
