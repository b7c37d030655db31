"""A run that is sent to MLflow with a fault of the disk at one call of it; the next sync must make it whole.

`python -m tests.faults.tracking LIBRARY FOLDER EVERY one|all`, as `tests.faults.life`: the shim is preloaded, a forked
child lives each case, and each prints one JSON line.
"""

from __future__ import annotations

import json
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Any

from dual_hpc.config import load_config
from dual_hpc.errors import one_line
from dual_hpc.run.directory import RunDir, Segment
from dual_hpc.run.journal import Journal
from dual_hpc.tracking.mlflow_store import store_of
from dual_hpc.tracking.mlflow_sync import sync
from tests.faults.shim import Shim, in_child, strikes

POINTS = {step: 5.0 - step for step in range(1, 6)}


def recorded_run(store: Path) -> RunDir:
    """A run that has ended, with a curve and a report of its own; nothing of it is in MLflow."""
    config = load_config("demo", [f"store={store}", "name=faulty"])
    run = RunDir.create(store / "runs" / "faulty", config)
    run.append_segment(Segment(event="start", job_id="7"))
    with Journal(run.journal) as journal:
        for step, value in POINTS.items():
            journal.metrics(step, {"train/loss": value}, time_ms=1000 + step)
    run.append_segment(Segment(event="end", job_id="7", reason="failed", step=5))
    report = {"subsets": {"av": {"ua": 0.5, "wa": 0.25}}}
    (run.reports / "test_best.json").write_text(json.dumps(report))
    (run.reports / "test_best.md").write_text("# a report\n")
    return run


def missing(run: RunDir) -> list[str]:
    """What MLflow lacks of the run."""
    with store_of(run.config()).client() as client:
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        found = client.search_runs(experiments)
        if len(found) != 1:
            return [f"{len(found)} runs"]
        (one,) = found
        curve = {point.step: point.value for point in client.get_metric_history(one.info.run_id, "train/loss")}
        files = {file.path for file in client.list_artifacts(one.info.run_id, "reports")}
    lacks = [] if curve == POINTS else [f"curve {curve}"]
    lacks += [] if one.info.status == "FAILED" else [one.info.status]
    lacks += [] if one.data.metrics.get("test_best/av/ua") == 0.5 else ["score"]
    return lacks + [name for name in ("test_best.json", "test_best.md") if f"reports/{name}" not in files]


def case(shim: Shim, template: Path, folder: Path, at: int, kind: str, lasting: bool) -> dict[str, Any]:
    """One sync with a fault, and the next one on a disk that works."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template, folder)
    run = recorded_run(folder)
    before = {path.name: path.read_bytes() for path in (run.journal, run.segments_file, run.config_file)}
    shim.arm(folder, at, kind, lasting)
    error = None
    try:
        sync(run)
    except Exception as raised:  # `dual-hpc sync` and the background of a training make a line of it
        error = one_line(f"{type(raised).__name__}: {raised}", 300)
    calls, failed = shim.disarm()
    problems = []
    try:
        if error is None and (lacks := missing(run)):
            problems.append(f"lost in silence: {lacks}")
        sync(run)
        problems += [f"not there after the next sync: {what}" for what in missing(run)]
    except Exception as raised:
        problems.append(f"the next sync fails: {one_line(raised, 500)}")
    after = {path.name: path.read_bytes() for path in (run.journal, run.segments_file, run.config_file)}
    problems += [f"{name} was changed" for name in before if after[name] != before[name]]
    return {"calls": calls, "failed": failed, "error": error, "problems": problems}


def main(library: str, folder: str, every: str, which: str) -> None:
    """With a database and without one, which MLflow then makes in thousands of calls, of which every 20th is enough."""
    shim, root = Shim(library), Path(folder)
    (empty := root / "empty").mkdir()
    (made := root / "made").mkdir()
    in_child(partial(_make_database, made))
    for template, step in ((made, int(every)), (empty, 20 * int(every))):
        whole = in_child(partial(case, shim, template, root / "case", 0, "EIO", False))
        print(json.dumps({"template": template.name, **whole}), flush=True)
        for at, kind, lasting in strikes(whole["calls"], step, which):
            found = in_child(partial(case, shim, template, root / "case", at, kind, lasting))
            words = {"template": template.name, "at": at, "kind": kind, "lasting": lasting}
            print(json.dumps({**words, **found}), flush=True)


def _make_database(folder: Path) -> dict[str, Any]:
    with store_of(load_config("demo", [f"store={folder}"])).client() as client:
        client.search_experiments()
    return {}


if __name__ == "__main__":
    main(*sys.argv[1:])
