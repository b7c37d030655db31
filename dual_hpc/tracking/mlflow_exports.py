"""The exported weights of a run as MLflow's models, each with its scores and the data that they were measured on."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dual_hpc.files.json_text import parse_json
from dual_hpc.files.real_path import real_path
from dual_hpc.files.regular_file import read_bytes, read_text
from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import Entry, points
from dual_hpc.tracking.datasets import SplitData, evaluated_on, log_datasets, trained_on
from dual_hpc.tracking.mlflow_format import mlflow_name, scores_in
from dual_hpc.tracking.mlflow_model import FOLDER_TAG, log_model, models_of, step_of_export

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

EXPORT_TAG = "dual.export"
_NAMES = ("best", "last")


def log_exports(
    client: MlflowClient, run: RunDir, mlflow_run: Any, entries: Sequence[Entry], finished: bool
) -> dict[str, str]:
    """A model for each export of a finished run, and for each that was evaluated. Returns export -> MLflow's model id.

    Its validation's scores are those of its step in the journal, its test's those of the reports.
    """
    run_id, config = str(mlflow_run.info.run_id), run.config()
    folders = exports_of(run.exports)
    reports = _reports_of(run.reports)
    chosen = {folder: names for folder, names in folders.items() if finished or folder.name in reports}
    facts = {"dual.run_id": run.identity().run_id, "dual.protocol": config.data.protocol}
    ids: dict[str, str] = {}
    for folder, names in chosen.items():
        step, name = step_of_export(folder), run.identity().name
        model_id = log_model(
            client,
            run_id,
            folder,
            name if "best" in names else f"{name}-{names[0]}",
            tags={**facts, EXPORT_TAG: ",".join(names), **_description(run, names)},
            params={"seed": str(config.seed), "family": config.model.family},
            archive=run.code,
        )
        ids |= dict.fromkeys(names, model_id)
        splits = trained_on(entries, config.data.protocol, config.data.shards)
        metrics = validation_scores(entries, step, model_id, [one for one in splits if one.split == "validation"])
        for time_ms, report in reports.get(folder.name, []):
            data = evaluated_on(report["about"], config.data.shards)
            log_datasets(client, mlflow_run, [data] if data is not None else [])
            metrics += report_scores(report, step, time_ms, model_id, data)
        for start in range(0, len(metrics), 900):
            client.log_batch(run_id, metrics=metrics[start : start + 900])
    for model in models_of(client, run_id, mlflow_run.info.experiment_id) if chosen else []:
        if Path(model.tags.get(FOLDER_TAG, "")) not in folders and model.tags.get(EXPORT_TAG) != "replaced":
            client.set_logged_model_tags(model.model_id, {EXPORT_TAG: "replaced"})
    return ids


def _description(run: RunDir, names: Sequence[str]) -> dict[str, str]:
    """The test's report, as the description that MLflow's page of the model shows."""
    reports = [run.reports / f"test_{name}.md" for name in names]
    report = next((report for report in reports if report.is_file()), None)
    return {} if report is None else {"mlflow.note.content": read_text(report)[:7900]}


def exports_of(exports: Path) -> dict[Path, list[str]]:
    """The folders of exported weights -> the names that lead to them, "best" first."""
    found: dict[Path, list[str]] = {}
    for name in _NAMES:
        if (exports / name / "config.json").is_file():
            found.setdefault(real_path(exports / name), []).append(name)
    return found


def validation_scores(entries: Iterable[Entry], step: int, model_id: str, data: Sequence[SplitData]) -> list[Metric]:
    """What the journal says of the validation of a step, for the model of that step."""
    last = {point.key: point for point in points(entries) if point.step == step and point.key.startswith("val/")}
    return [
        _metric(mlflow_name(one.key), one.value, one.time_ms, step, model_id, data[0] if data else None)
        for one in last.values()
        if math.isfinite(one.value)
    ]


def report_scores(
    report: Mapping[str, Any], step: int, time_ms: int, model_id: str, data: SplitData | None
) -> list[Metric]:
    """`test/av/ua` ... of a report, for the model that it is about."""
    split = data.split if data is not None else "test"
    return [
        _metric(mlflow_name(f"{split}/{key}"), value, time_ms, step, model_id, data)
        for key, value in scores_in(report).items()
        if math.isfinite(value)
    ]


def _metric(key: str, value: float, time_ms: int, step: int, model_id: str, data: SplitData | None) -> Metric:
    from mlflow.entities import Metric

    if data is None:
        return Metric(key, value, time_ms, step, model_id)
    return Metric(key, value, time_ms, step, model_id, data.name, data.digest[:36])


def _reports_of(folder: Path) -> dict[str, list[tuple[int, Mapping[str, Any]]]]:
    """Folder of exported weights -> time in ms and content of each report about it; others are left out."""
    found: dict[str, list[tuple[int, Mapping[str, Any]]]] = {}
    for file in sorted(folder.glob("*.json")):
        try:
            report = parse_json(read_bytes(file))
            named = re.search(r"\((step_\d+(?:\.\d+)?)\)", str(report["about"]["checkpoint"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if named is not None and isinstance(report.get("subsets"), Mapping):
            found.setdefault(named[1], []).append((file.stat().st_mtime_ns // 1_000_000, report))
    return found
