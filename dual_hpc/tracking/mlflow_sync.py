"""Replay a run directory into MLflow, as often as wanted (contract 8).

The run directory is the truth, MLflow a view of it. MLflow's run is found by the tag `dual.run_id`, so all jobs of a
run, and a later `sync` from a login node, fill the same one. `sent.py` knows how much of the journal it has, so a sync
sends only what is new, and that this is the same journal still (a node that dies takes along what its disk had not got
yet). Points keep their original times: sending one twice changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dual_hpc.credentials import without_secrets
from dual_hpc.files.real_path import real_path
from dual_hpc.run.directory import RunDir, RunIdentity
from dual_hpc.run.journal import Entry, Point, points, read
from dual_hpc.run.names import SYSTEM
from dual_hpc.tracking.datasets import log_datasets, trained_on
from dual_hpc.tracking.mlflow_exports import log_exports
from dual_hpc.tracking.mlflow_format import (
    ENDED,
    bottleneck_tag,
    flatten,
    jobs_of,
    mlflow_name,
    status_of,
    user_name,
    with_best,
)
from dual_hpc.tracking.mlflow_reports import log_reports
from dual_hpc.tracking.mlflow_store import Store, experiment_id, store_of
from dual_hpc.tracking.run_note import profiles_tag, tags_of
from dual_hpc.tracking.sent import Sent, is_there

if TYPE_CHECKING:
    from mlflow import MlflowClient

RUN_TAG = "dual.run_id"
# What earlier versions wrote for themselves among the tags.
_FORMER_TAGS = ("dual.synced_bytes", "dual.synced_crc", "dual.model_sha256")
_BATCH = 900  # metrics per request; MLflow takes 1000 items


def sync(run: RunDir, *, artifacts: bool = True, model: Path | None = None, state: str | None = None) -> str:
    """Bring MLflow up to the run directory; returns MLflow's own run id.

    Args:
        artifacts: also the curves, the reports, the configuration and the exported models.
        model: the best export of a run that has finished: its exports are logged as models. Those of a run that is
            known to have finished always are, and those that a report is about.
        state: of a run that no job works on now, which may not have written its end: "failed", "queued" ...

    Raises:
        Exception: whatever MLflow or the network raises; during training use `Synchroniser`, which only warns.
    """
    config = run.config()
    store = store_of(config)
    with store.client(run.path) as client:
        mlflow_run = _find_or_create(client, store, run)
        run_id, known = str(mlflow_run.info.run_id), mlflow_run.data
        chosen = config.training
        entries = with_best(read(run.journal), chosen.select_modalities, chosen.select_by)
        sent = Sent(run.path, f"{store.uri} {run_id}")
        journals = {run.journal: entries}
        journals |= {file: read(file) for file in sorted((run.path / SYSTEM).glob("*.jsonl"))}
        _log_journals(client, run_id, sent, journals, known.metrics)
        segments = run.segments()
        tags = {**tags_of(config, entries), **config.tracking.tags, "dual.jobs": jobs_of(segments)}
        tags |= bottleneck_tag(entries) | profiles_tag(run)
        for key, value in tags.items():
            if known.tags.get(key) != value:
                client.set_tag(run_id, key, value)
        for key in _FORMER_TAGS:
            if key in known.tags:
                client.delete_tag(run_id, key)
        log_datasets(client, mlflow_run, trained_on(entries, config.data.protocol, config.data.shards))
        if artifacts:
            finished = model is not None or status_of(segments) == "FINISHED"
            log_reports(client, run, mlflow_run, entries)
            log_exports(client, run, mlflow_run, entries, finished)
        _log_status(client, run_id, run, state)
    return run_id


def _log_journals(
    client: MlflowClient, run_id: str, sent: Sent, journals: Mapping[Path, Sequence[Entry]], shown: Mapping[str, float]
) -> None:
    """Send what MLflow does not have of the journals."""
    found = {journal: points(entries) for journal, entries in journals.items()}
    done = {journal: sent.bytes_of(journal) for journal in journals}
    if not is_there((point for journal, some in found.items() for point in some if point.end <= done[journal]), shown):
        done = dict.fromkeys(journals, 0)
    for journal, entries in journals.items():
        log_points(client, run_id, [point for point in found[journal] if point.end > done[journal]])
        sent.note(journal, entries[-1].end if entries else 0)


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
            "mlflow.user": user_name(),
            "mlflow.source.git.commit": identity.code_version,
            "mlflow.source.name": "dual-hpc",
            "mlflow.source.type": "JOB",
            "dual.code_version": identity.code_version,
            "dual.run_dir": str(real_path(run.path)),
        },
    )


def log_points(client: MlflowClient, run_id: str, new: Iterable[Point]) -> None:
    """Send values with their own times and steps."""
    from mlflow.entities import Metric

    # MLflow's charts would show an infinity as 1.8e308, and every other value as zero.
    metrics = [Metric(mlflow_name(p.key), p.value, p.time_ms, p.step) for p in new if not math.isinf(p.value)]
    for some in _chunks(metrics, _BATCH):
        client.log_batch(run_id, metrics=some)


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
