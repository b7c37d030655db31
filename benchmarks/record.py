"""The form of every benchmark's result: `results/NAME.json` and a Markdown table beside it (contract 9)."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = Path(__file__).parent / "results"


def row(
    case: str,
    ours: float,
    peer: float,
    peer_name: str,
    unit: str,
    smaller_is_better: bool = False,
    ratios: Sequence[float] = (),
) -> dict[str, Any]:
    """One comparison; ratio > 1 means that ours is better. Differences that are not positive have none.

    Args:
        ratios: of single rounds, if `ours` and `peer` sum several up. Their median is the ratio, as the speed of a
            shared machine drifts between rounds more than within one; the smallest and the largest stand beside it.
    """
    figures = {"ours": ours, "peer": peer}
    if min(ours, peer) > 0:
        figures["ratio"] = peer / ours if smaller_is_better else ours / peer
    if ratios:
        figures |= {"ratio": median(ratios), "lowest": min(ratios), "highest": max(ratios)}
    return {"case": case, "peer_name": peer_name, "unit": unit, **{k: float(f"{v:.4g}") for k, v in figures.items()}}


def write(
    name: str,
    rows: list[dict[str, Any]],
    note: str = "",
    folder: Path | None = None,
    module: str | None = None,
    **details: Any,
) -> Path:
    """Write the rows with the machine's kind, the command and the commit; returns the JSON file. May be called after
    every case, so that nothing is lost with what comes later.

    Args:
        note: a sentence for the Markdown: what was held equal, what the machine was doing.
        folder: None for `RESULTS`.
        module: of `benchmarks`, that was run; None: it has the result's name.
        details: further figures, for the JSON alone.
    """
    report = {
        "name": name,
        "machine": machine(),
        "command": " ".join(["python", "-m", f"benchmarks.{module or name}", *sys.argv[1:]]),
        "commit": commit(),
        "note": note,
        "rows": rows,
        **details,
    }
    folder = folder or RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    for file, text in (
        (path, json.dumps(report, indent=1, ensure_ascii=False) + "\n"),
        (path.with_suffix(".md"), markdown(report)),
    ):
        unfinished = file.with_name(f".{file.name}")
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(file)
    return path


def markdown(report: dict[str, Any]) -> str:
    """The same as a table for people."""
    lines = [
        f"# {report['name'].capitalize()}",
        "",
        f"{report['machine']}; `{report['command']}`; commit {report['commit']}.",
        *(["", report["note"]] if report["note"] else []),
        "",
        "| case | ours | peer | of | unit | ratio (> 1: ours is better) |",
        "|---|---:|---:|---|---|---:|",
    ]
    for r in report["rows"]:
        lines.append(
            f"| {r['case']} | {r['ours']:g} | {r['peer']:g} | {r['peer_name']} | {r['unit']} | "
            + (f"{r['ratio']:.2f}" if "ratio" in r else "–")
            + (f" ({r['lowest']:.2f} to {r['highest']:.2f}) |" if "lowest" in r else " |")
        )
    return "\n".join(lines) + "\n"


def machine(gpu: str | None = None) -> str:
    """Kind of machine and how busy it is: processor, cores, GPU if this process used one, load of the last minute.

    Args:
        gpu: the name of the one that other processes used.
    """
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    except OSError:
        pass
    return f"{model}, {os.cpu_count()} cores, {gpu or gpu_used()}, load {os.getloadavg()[0]:.1f}"


def gpu_used() -> str:
    """The GPU on which this process has computed."""
    torch = sys.modules.get("torch")  # not imported for this alone
    if torch is None or not torch.cuda.is_initialized():
        return "no GPU used"
    return f"{torch.cuda.get_device_name()} (CUDA {torch.version.cuda})"


def commit() -> str:
    """Short hash of the checkout, with "+dirty" where the tree has changes; "not known" of a copy, or without git."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], capture_output=True, text=True, cwd=RESULTS.parent).stdout.strip()

    try:
        found = git("rev-parse", "--short=12", "HEAD")
        return found + ("+dirty" if git("status", "--porcelain") else "") if found else "not known"
    except OSError:
        return "not known"
