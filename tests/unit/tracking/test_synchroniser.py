"""Synchronising beside a training: MLflow's failures never reach it."""

from __future__ import annotations

import logging
import socket
import threading
import time
from pathlib import Path

import pytest

from dual_hpc.run.directory import RunDir, Segment
from dual_hpc.run.journal import Journal
from dual_hpc.tracking import synchroniser as module
from dual_hpc.tracking.mlflow_sync import sync
from dual_hpc.tracking.synchroniser import Synchroniser
from tests.unit.tracking.runs import history, make_run


def test_an_unreachable_server_costs_one_warning_and_a_later_sync_repairs_it(
    store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = make_run(store, "away", "tracking.uri=http://127.0.0.1:9")
    with Journal(run.journal) as journal:
        journal.metrics(1, {"loss": 1.0}, time_ms=7)
    with caplog.at_level(logging.WARNING):
        synchroniser = Synchroniser(run, interval=0.01).start()
        time.sleep(0.3)
        assert synchroniser.close(timeout=500) is False
    assert 1 <= sum("MLflow is not up to date" in record.message for record in caplog.records) <= 2
    text = run.config_file.read_text()
    run.config_file.write_text(text.replace("uri: http://127.0.0.1:9", "uri: ''"))
    sync(run)
    assert history(run, "loss") == [(1, 1.0, 7)]


def test_a_server_that_never_answers_does_not_keep_a_stopped_job(
    store: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:  # takes connections, and says nothing
        run = make_run(store, "mute", f"tracking.uri=http://127.0.0.1:{mute.getsockname()[1]}")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "3600")
        synchroniser = Synchroniser(run, interval=0.01).start()
        connection, _ = mute.accept()  # the sync waits for its answer now
        with connection, caplog.at_level(logging.WARNING):
            assert synchroniser.close(timeout=0.1) is False
            assert synchroniser._thread.is_alive()
    assert "a sync hangs" in caplog.text


def test_the_last_sync_of_a_stopped_job_is_given_up_as_well(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(store, "mute-later")
    begun, over = threading.Event(), threading.Event()

    def hang(run: RunDir, *, artifacts: bool, model: Path | None) -> str:
        if artifacts:
            begun.set()
            over.wait(600)
        return ""

    monkeypatch.setattr(module, "sync", hang)
    synchroniser = Synchroniser(run, interval=3600).start()
    assert synchroniser.close(timeout=0.1) is False
    assert begun.wait(600)
    over.set()


def test_the_background_thread_follows_the_journal(store: Path) -> None:
    run = make_run(store, "live")
    synchroniser = Synchroniser(run, interval=0.05).start()
    with Journal(run.journal) as journal:
        for step in range(20):
            journal.metrics(step, {"loss": float(step)}, time_ms=step)
            time.sleep(0.01)
    run.append_segment(Segment(event="end", job_id="1", reason="finished"))
    assert synchroniser.close(timeout=500) is True
    assert [step for step, _, _ in history(run, "loss")] == list(range(20))
