"""Reports, figures and the configuration of a run as MLflow's artifacts, scores and description."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dual_hpc.credentials import without_secrets
from dual_hpc.errors import EnvironmentFault
from dual_hpc.files.atomic import write_atomically
from dual_hpc.files.regular_file import first_irregular, read_bytes, read_text
from dual_hpc.picture import png
from dual_hpc.run.alignment import read_alignment
from dual_hpc.run.directory import RunDir
from dual_hpc.run.goodput import timeline_of
from dual_hpc.run.journal import Entry, replay
from dual_hpc.tracking.mlflow_format import report_metrics
from dual_hpc.tracking.run_note import is_ours, note_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

NOTE_TAG = "mlflow.note.content"


def log_reports(client: MlflowClient, run: RunDir, mlflow_run: Any, entries: Sequence[Entry]) -> None:
    """Send them; a description that somebody else has written stays.

    Raises:
        EnvironmentFault: a report is a pipe or a device.
    """
    from mlflow.entities import Metric

    from dual_hpc.tracking.alignment_figure import alignment_figure
    from dual_hpc.tracking.figures import training_curves
    from dual_hpc.tracking.life import run_life

    run_id = str(mlflow_run.info.run_id)
    if curves := replay(entries):
        run.reports.mkdir(exist_ok=True)
        write_atomically(run.reports / "training_curves.png", png(training_curves(curves, run.identity().name)))
        if slices := timeline_of(run, entries=entries):
            write_atomically(run.reports / "run_life.png", png(run_life(slices, entries, run.identity().name)))
        if matrices := read_alignment(run.path):
            write_atomically(run.reports / "alignment.png", png(alignment_figure(matrices, run.identity().name)))
    for file in sorted(run.reports.glob("*.json")):
        time_ms = file.stat().st_mtime_ns // 1_000_000
        scores = report_metrics(file.stem, read_bytes(file))
        found = [Metric(key, value, time_ms, 0) for key, value in scores.items() if not math.isinf(value)]
        for start in range(0, len(found), 900):
            client.log_batch(run_id, metrics=found[start : start + 900])
    client.log_text(run_id, without_secrets(read_text(run.config_file)), run.config_file.name)
    if (irregular := first_irregular(run.reports)) is not None:
        raise EnvironmentFault(f"{run.reports}/{irregular}, not a file")  # MLflow would wait for it
    if any(run.reports.glob("*")):
        client.log_artifacts(run_id, str(run.reports), "reports")
    written, note = mlflow_run.data.tags.get(NOTE_TAG, ""), note_of(run, entries)
    if note and note != written and is_ours(written):
        client.set_tag(run_id, NOTE_TAG, note)
