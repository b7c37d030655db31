"""Replay a run directory into MLflow, as often as wanted (contract 8).

The run directory is the truth, MLflow a view of it. MLflow's run is found by the tag `dual.run_id`, so all jobs of a
run, and a later `sync` from a login node, fill the same one; the tag `dual.synced_bytes` says how much of the journal
it has, so a sync sends only what is new, and `dual.synced_crc` that this is the same journal still (a node that dies
takes along what its disk had not got yet). Points keep their original times: sending one twice changes nothing.
"""

from __future__ import annotations

import getpass
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dual_hpc.credentials import without_secrets
from dual_hpc.errors import EnvironmentFault
from dual_hpc.files.atomic import write_atomically
from dual_hpc.files.regular_file import LARGE, first_irregular, read_bytes, read_text
from dual_hpc.picture import png
from dual_hpc.run.directory import RunDir, RunIdentity
from dual_hpc.run.journal import Point, points, read, replay
from dual_hpc.tracking.mlflow_format import (
    ENDED,
    bottleneck_tag,
    flatten,
    jobs_of,
    mlflow_name,
    report_metrics,
    status_of,
    with_best,
)
from dual_hpc.tracking.mlflow_model import log_model
from dual_hpc.tracking.mlflow_store import Store, experiment_id, store_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

RUN_TAG = "dual.run_id"
CURSOR_TAG = "dual.synced_bytes"
CHECK_TAG = "dual.synced_crc"
NOTE_TAG = "mlflow.note.content"
_BATCH = 900  # metrics per request; MLflow takes 1000 items


def sync(run: RunDir, *, artifacts: bool = True, model: Path | None = None, state: str | None = None) -> str:
    """Bring MLflow up to the run directory; returns MLflow's own run id.

    Args:
        artifacts: also the curves, the reports and the configuration.
        model: a saved model directory to log as an MLflow model, once per content. A finished run's best export is
            always logged.
        state: of a run that no job works on now, which may not have written its end: "failed", "queued" ...

    Raises:
        Exception: whatever MLflow or the network raises; during training use `Synchroniser`, which only warns.
    """
    config, identity = run.config(), run.identity()
    store = store_of(config)
    with store.client(run.path) as client:
        mlflow_run = _find_or_create(client, store, run)
        run_id = mlflow_run.info.run_id
        chosen = config.training
        entries = with_best(read(run.journal), chosen.select_modalities, chosen.select_by)
        done = _already_sent(run.journal, mlflow_run.data.tags)
        _log_points(client, run_id, [point for point in points(entries) if point.end > done])
        segments = run.segments()
        end = entries[-1].end if entries else 0
        tags = {
            **config.tracking.tags,
            CURSOR_TAG: str(end),
            CHECK_TAG: _checksum(run.journal, end),
            "dual.jobs": jobs_of(segments),
            **bottleneck_tag(entries),
        }
        for key, value in tags.items():
            if mlflow_run.data.tags.get(key) != value:
                client.set_tag(run_id, key, value)
        if artifacts:
            _log_reports(client, run_id, run, identity.name)
            _describe(client, run_id, run, mlflow_run.data.tags.get(NOTE_TAG, ""))
        best = run.exports / "best"
        if model is None and artifacts and status_of(segments) == "FINISHED" and best.is_dir():
            model = best
        if model is not None:
            log_model(client, store.uri, run_id, model.resolve(), identity.name, run.code)
        _log_status(client, run_id, run, state)
    return str(run_id)


def _find_or_create(client: MlflowClient, store: Store, run: RunDir) -> Any:
    from mlflow.entities import Param

    config, identity = run.config(), run.identity()
    mlflow_run = _find(client, config.tracking.experiment, identity.run_id)
    if mlflow_run is None:
        mlflow_run = _create(client, experiment_id(client, store, config.tracking.experiment), run, identity)
    # Also of a run that is there: a sync may have ended between the two. MLflow never changes a parameter.
    wanted = {key: without_secrets(value) for key, value in flatten(config.model_dump(mode="json")).items()}
    params = [Param(key, value) for key, value in wanted.items() if key not in mlflow_run.data.params]
    for some in _chunks(params, 100):
        client.log_batch(mlflow_run.info.run_id, params=some)
    return mlflow_run


def _find(client: MlflowClient, experiment: str, run_id: str) -> Any:
    """MLflow's run; None if there is none. Its experiment may have got another name in MLflow."""

    def within(experiments: Iterable[Any]) -> Any:
        ids = [str(one.experiment_id) for one in experiments]
        found = client.search_runs(ids, filter_string=f"tags.`{RUN_TAG}` = '{run_id}'", max_results=1)
        return found[0] if found else None

    named = client.get_experiment_by_name(experiment)
    here = within([named]) if named is not None and named.lifecycle_stage == "active" else None
    return here or within(client.search_experiments())


def _create(client: MlflowClient, experiment: str, run: RunDir, identity: RunIdentity) -> Any:
    return client.create_run(
        experiment,
        start_time=int(identity.created * 1000),
        run_name=identity.name,
        tags={
            RUN_TAG: identity.run_id,
            "mlflow.user": _user(),
            "mlflow.source.git.commit": identity.code_version,
            "mlflow.source.name": "dual-hpc",
            "mlflow.source.type": "JOB",
            "dual.code_version": identity.code_version,
            "dual.run_dir": str(run.path.resolve()),
        },
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without an entry for this user
        return "unknown"


def _already_sent(journal: Path, tags: Mapping[str, str]) -> int:
    """Bytes of the journal that MLflow has; 0 if the journal is not the one that was sent."""
    written = tags.get(CURSOR_TAG, "")  # anybody may edit a tag
    done = int(written) if written.isdecimal() else 0
    return done if tags.get(CHECK_TAG) == _checksum(journal, done) else 0


def _checksum(journal: Path, end: int) -> str:
    return f"{zlib.crc32(read_bytes(journal, LARGE)[:end]):08x}" if end else ""


def _log_points(client: MlflowClient, run_id: str, new: Iterable[Point]) -> None:
    from mlflow.entities import Metric

    # MLflow's charts would show an infinity as 1.8e308, and every other value as zero.
    metrics = [Metric(mlflow_name(p.key), p.value, p.time_ms, p.step) for p in new if not math.isinf(p.value)]
    for some in _chunks(metrics, _BATCH):
        client.log_batch(run_id, metrics=some)


def _log_reports(client: MlflowClient, run_id: str, run: RunDir, title: str) -> None:
    from dual_hpc.tracking.figures import training_curves

    curves = replay(read(run.journal))
    if curves:
        run.reports.mkdir(exist_ok=True)
        write_atomically(run.reports / "training_curves.png", png(training_curves(curves, title)))
    for file in sorted(run.reports.glob("*.json")):
        time_ms = file.stat().st_mtime_ns // 1_000_000
        found = report_metrics(file.stem, read_bytes(file))
        _log_points(client, run_id, [Point(key, 0, value, time_ms, 0) for key, value in found.items()])
    client.log_text(run_id, without_secrets(read_text(run.config_file)), run.config_file.name)
    if (irregular := first_irregular(run.reports)) is not None:
        raise EnvironmentFault(f"{run.reports}/{irregular}, not a file")  # MLflow would wait for it
    if any(run.reports.glob("*")):
        client.log_artifacts(run_id, str(run.reports), "reports")


def _describe(client: MlflowClient, run_id: str, run: RunDir, note: str) -> None:
    """The test's table as the run's description, unless somebody has written another one."""
    for report in (run.reports / "test_best.md", run.reports / "test_last.md"):
        if report.is_file() and (not note or note.startswith("# Evaluation")):
            text = read_text(report)
            if text != note:
                client.set_tag(run_id, NOTE_TAG, text)
            return


def _log_status(client: MlflowClient, run_id: str, run: RunDir, state: str | None) -> None:
    segments = run.segments()
    status, info = status_of(segments, state), client.get_run(run_id).info
    if status in ENDED:
        # Its own end, not the moment of this sync, at which logging a model has set it.
        killed = not segments or segments[-1].event == "start"
        moment = run.journal.stat().st_mtime if killed and run.journal.exists() else None
        end = int((moment or (segments[-1].time if segments else run.identity().created)) * 1000)
        if (info.status, info.end_time) != (status, end):
            client.set_terminated(run_id, status, end_time=end)
    elif info.status != status:
        client.update_run(run_id, status=status)


def _chunks(items: Sequence[Any], size: int) -> Iterable[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
