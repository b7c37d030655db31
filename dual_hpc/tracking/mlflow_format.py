"""A run in the form that MLflow accepts: names, parameters, status and scores. Pure but for the user's name."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dual_hpc.files.json_text import parse_json
from dual_hpc.printable import printable
from dual_hpc.run.directory import Segment
from dual_hpc.run.journal import Entry

_NAME, _VALUE = 250, 6000  # characters that MLflow accepts in a name and in a parameter's value
_JOBS = 200  # jobs named in the tag; MLflow cuts it at 8000 characters
_STATUS = {"finished": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}
ENDED = frozenset(_STATUS.values())


# MLflow orders its charts by name: dozens of these would come before the losses.
_BEHIND_LOSSES = ("goodput/", "ranks/")


def mlflow_name(key: str) -> str:
    """A metric's or parameter's name as MLflow accepts it: letters, digits, `_-. :/`, no path tricks."""
    key = f"train/{key}" if key.startswith(_BEHIND_LOSSES) else key
    clean = "".join(c if c.isascii() and (c.isalnum() or c in "_-. :/") else "_" for c in key)[:_NAME]
    return "/".join(part for part in clean.split("/") if part.strip(".")) or "_"


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested configuration -> MLflow parameters: dotted keys, values as text (lists as JSON)."""
    flat: dict[str, str] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            flat[mlflow_name(f"{prefix}{key}")] = printable(text, _VALUE)
    return flat


def user_name() -> str:
    """Who runs this, as MLflow's column has it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without an entry for this user
        return "unknown"


# What a run is on which no job works now, as `dual-hpc status` calls it; it may not have written its end itself.
_AT_REST = {
    "queued": "SCHEDULED",
    **dict.fromkeys(("failed", "user error", "out of memory", "out of time", "node failure", "lost"), "FAILED"),
    **dict.fromkeys(("cancelled", "stopped", "preempted"), "KILLED"),
}


def status_of(segments: Sequence[Segment], state: str | None = None) -> str:
    """MLflow's status of a run: the end of its last job decides; a job that will be continued leaves it scheduled.

    Args:
        state: of a run that no job works on now, as the launcher knows it: "failed", "cancelled", "queued" ...
    """
    if state in _AT_REST:
        return _AT_REST[state]
    if not segments:
        return "SCHEDULED"
    if segments[-1].event == "start":
        return "RUNNING"
    return _STATUS.get(segments[-1].reason or "", "SCHEDULED")


def jobs_of(segments: Sequence[Segment]) -> str:
    """The jobs that worked on a run, in order; of very many the latest."""
    return ",".join(list(dict.fromkeys(segment.job_id for segment in segments))[-_JOBS:])


def bottleneck_tag(entries: Sequence[Entry]) -> dict[str, str]:
    """`dual.bottleneck`: what was found last to slow the training down; nothing where nothing ever was."""
    said = [str(entry.fields.get("message", "")) for entry in entries if entry.event == "bottleneck"]
    return {"dual.bottleneck": said[-1] or "none"} if said else {}


def with_best(entries: Iterable[Entry], subset: str, metric: str) -> list[Entry]:
    """The journal with each new best score as a metric: a curve's last value does not show its best.

    Args:
        subset: of the modalities that selects, where an entry says no other.
    """
    return [
        replace(entry, metrics={f"best/{entry.fields.get('subset', subset)}/{metric}": float(score)})
        if entry.event == "best" and isinstance(score := entry.fields.get("score"), (int, float))
        else entry
        for entry in entries
    ]


def report_metrics(name: str, content: bytes) -> dict[str, float]:
    """The headline numbers of an evaluation's JSON report as metrics, so that MLflow can compare runs by them.

    `test_best/av/ua` ..., `test_best/text_reliance/ua` ...; other files among the reports, and torn ones, have none.
    """
    try:
        report = parse_json(content)
    except ValueError:
        return {}
    return {mlflow_name(f"{name}/{key}"): value for key, value in scores_in(report).items()}


def scores_in(report: Any) -> dict[str, float]:
    """`av/ua` ... of an evaluation's report as JSON has it; none of anything else."""
    if not isinstance(report, Mapping) or not isinstance(report.get("subsets"), Mapping):
        return {}
    rows = {**report["subsets"], "text_reliance": report.get("text_reliance")}
    return {
        f"{row}/{score}": value
        for row, values in rows.items()
        if isinstance(values, Mapping)
        for score, value in values.items()
        if isinstance(value, float)
    }
