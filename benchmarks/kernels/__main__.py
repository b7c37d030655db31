"""`python -m benchmarks.kernels [--device cpu|cuda] [--seconds S] [--threads N]`: results/kernels.{json,md,svg}.

No contestant is timed whose output or gradient is wrong. CPU times are processor time, which a busy machine disturbs
least. A GPU's figures go to kernels_gpu.*, so that neither run overwrites the other, after every case, so that none is
lost. After `--minutes` no further case is begun, and one that takes two minutes ends the run: a kernel that waits for
ever cannot be interrupted otherwise.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track

from benchmarks import record
from benchmarks.kernels import measure
from benchmarks.kernels.contestants import Case, contestants
from benchmarks.kernels.dispatch_rows import dispatch_rows
from benchmarks.kernels.plot import plot

ERRORS = Console(stderr=True)
CUDA = "cuda"
HANGS = 120  # seconds
CPU = [
    ("sdm", 16, 150, 64, torch.float32),
    ("sdm", 16, 150, 128, torch.float32),
    ("sdm", 4, 300, 256, torch.float32),
    ("sdm", 16, 300, 256, torch.float32),
    ("sdm", 16, 150, 128, torch.bfloat16),
    ("vdm", 16, 150, 256, torch.float32),
    ("vdm", 32, 400, 256, torch.float32),
    ("alignment", 16, 150, 256, torch.float32),
    ("alignment", 16, 400, 256, torch.float32),
]
FULL = [("sdm", 16, 150, 128, torch.float32), ("sdm", 16, 300, 256, torch.float32)]  # pieces of time gain nothing here
GPU = [
    *(("sdm", 32, 1500, h, torch.bfloat16) for h in (128, 256, 512)),  # what decides most, first
    *(("sdm", 32, 1500, h, torch.float16) for h in (128, 256)),
    ("sdm", 128, 400, 256, torch.bfloat16),
    ("sdm", 32, 400, 256, torch.float32),
    *(("vdm", 32, 1500, d, torch.bfloat16) for d in (256, 512)),
    ("vdm", 64, 4000, 256, torch.bfloat16),
    *(("alignment", 32, t, 256, torch.bfloat16) for t in (400, 1500)),
    *(("sdm", 32, 1500, h, torch.bfloat16) for h in (64, 1024)),
]


def main() -> None:
    """Run all cases; exit 1 if one of ours was wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernels", description=__doc__)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", type=float, default=6.0, help="time for the rounds of one case")
    parser.add_argument("--threads", type=int, default=1, help="threads on a CPU")
    parser.add_argument("--minutes", type=float, default=6.0, help="after which no further case is begun")
    parser.add_argument("--out", type=Path, help="folder of the results (default: benchmarks/results)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    on_gpu = options.device == "cuda"
    load = os.getloadavg()[0]
    copy = f" {torch.cuda.get_device_name()}, copy {measure.copy_gbps():.0f} GB/s." if on_gpu else ""
    details: list[dict[str, Any]] = []
    shapes = [Case(*shape, device=CUDA if on_gpu else "cpu") for shape in (GPU if on_gpu else CPU)]
    for case in shapes:
        if (peer := contestants(case).get("FlashRNN")) is not None:  # builds itself: no case's time, and no hang
            measure.attempt(lambda: measure.gradients(peer(case)))  # noqa: B023
    started = time.monotonic()
    if not on_gpu:
        shapes += [Case(*shape, device="cpu", full=True) for shape in FULL]
    late = []
    for case in track(shapes, "kernels", console=ERRORS, disable=not ERRORS.is_terminal):
        if time.monotonic() - started > 60 * options.minutes:
            late.append(str(case))
            continue
        if on_gpu:
            faulthandler.dump_traceback_later(HANGS, exit=True, file=sys.__stderr__)
        details.append(compare(case, options.seconds))
        faulthandler.cancel_dump_traceback_later()
        write(details, late, options, load, copy)
        print(
            details[-1]["case"], {k: v.get("both", v) for k, v in details[-1]["contestants"].items()}, file=sys.stderr
        )
    path, wrong = write(details, late, options, load, copy)
    if find_spec("matplotlib") is not None:
        plot([row for entry in details for row in rows_of(entry)], path.with_suffix(".svg"))
    print(path.with_suffix(".md").read_text())
    sys.exit(1 if wrong else 0)


def write(
    details: list[dict[str, Any]], late: list[str], options: argparse.Namespace, load: float, copy: str
) -> tuple[Path, list[str]]:
    """Write what has been measured so far; the JSON file, and who of ours was wrong."""
    rows = [row for entry in details for row in rows_of(entry)]
    wrong = [f"{e['case']}: {n}" for e in details for n in e["contestants"] if n in e["wrong"] and "dual_hpc" in n]
    note = f"A forward and a backward, medians of rounds that contestants share; torch {torch.__version__}.{copy}"
    if not copy:
        note += (
            f" Processor time, {options.threads} thread(s); load average {load:.1f} and then {os.getloadavg()[0]:.1f}."
            " GPU: not measured. The Triton kernels are tested in the interpreter and compiled offline, nothing more."
        )
    if wrong:
        note += f" WRONG and therefore not timed: {', '.join(wrong)}."
    if late:
        note += f" Not begun after {options.minutes:g} minutes: {', '.join(late)}."
    if reasons := sorted({r for entry in details for r in absent(entry)}):
        note += f" Could not run: {'; '.join(reasons)}."
    folder = options.out or record.RESULTS
    found = []
    if torch.cuda.is_available() and copy:
        found = dispatch_rows(details, "sm_{}{}".format(*torch.cuda.get_device_capability()))
    name = "kernels_gpu" if copy else "kernels"
    return record.write(name, rows, note=note, folder=folder, cases=details, dispatch=found), wrong


def compare(case: Case, seconds: float) -> dict[str, Any]:
    """Errors, times and memory of everyone in one case; who is wrong or cannot run is named instead of timed."""
    built = {name: measure.attempt(lambda m=make: m(case)) for name, make in contestants(case).items()}
    want = measure.truth(case)
    found: dict[str, dict[str, Any]] = {}
    wrong = []
    for name, contestant in built.items():
        got = contestant if isinstance(contestant, str) else measure.attempt(lambda c=contestant: measure.gradients(c))
        size = got if isinstance(got, str) else measure.error(got, want)
        found[name] = {"error": size if isinstance(size, str) else f"{size:.3g}"}
        correct = not isinstance(size, str) and size <= measure.ALLOWED[case.dtype]
        # The LSTM is listed with VDM for its cost alone: it computes something else.
        if not correct and (isinstance(size, str) or (case.op, name) != ("vdm", "nn.LSTM on the concatenation")):
            wrong.append(name)
    runners = {name: built[name] for name in built if name not in wrong}
    for name, times in measure.timings(runners, case.device, seconds).items():
        found[name] |= times | {"us_per_step": float(f"{times['both'][1] * 1e3 / case.steps:.4g}")}
        found[name]["kept_bytes"] = measure.kept_bytes(runners[name])
        if case.device == "cuda":
            found[name]["peak_bytes"] = measure.peak_bytes(runners[name])
            found[name]["longest_kernels"] = measure.attempt(lambda n=name: measure.longest_kernels(runners[n]))
        if case.op == "vdm":
            # x and the output once in forward; x, the gradient of the output and that of x once in backward.
            moved = case.batch * case.steps * case.width * case.dtype.itemsize
            found[name]["gbps"] = [
                float(f"{moved * n / found[name][way][1] / 1e6:.4g}") for n, way in ((3, "forward"), (4, "backward"))
            ]
    shape = (case.op, case.batch, case.steps, case.width, str(case.dtype))
    return {"case": str(case), "shape": shape, "contestants": found, "wrong": wrong}


def absent(entry: dict[str, Any]) -> list[str]:
    """Peers that could not run at all, with the reason; those that ran and were wrong are another matter."""
    failed = ((name, found["error"]) for name, found in entry["contestants"].items() if "both" not in found)
    return [f"{name} ({error})" for name, error in failed if not error.replace(".", "").replace("e-", "").isdigit()]


def rows_of(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """Each of ours against each peer, in time and in memory kept for the backward."""
    timed = {name: c for name, c in entry["contestants"].items() if "both" in c}
    rows = []
    for ours in (name for name in timed if name.startswith("dual_hpc")):
        case = entry["case"] if ours == "dual_hpc auto" else f"{entry['case']} ({ours.removeprefix('dual_hpc ')})"
        for peer in (name for name in timed if not name.startswith("dual_hpc")):
            mine, theirs = timed[ours], timed[peer]
            rows.append(record.row(case, mine["both"][1], theirs["both"][1], peer, "ms", True))
            kept = mine["kept_bytes"] / 1e6, theirs["kept_bytes"] / 1e6
            rows.append(record.row(case, *kept, peer, "MB kept", True))
    return rows


if __name__ == "__main__":
    main()
