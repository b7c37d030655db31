"""Replaying a run into a real sqlite store: idempotent, incremental, harmless when it fails."""

from __future__ import annotations

import json
import logging
import math
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from dual_hpc.config import load_config
from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.tracking import mlflow_sync
from dual_hpc.tracking.journal import Journal
from dual_hpc.tracking.mlflow_store import experiment_id, store_of
from dual_hpc.tracking.mlflow_sync import CURSOR_TAG, Synchroniser, sync
from dual_hpc.tracking.run_dir import RunDir, Segment


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("store")


def make_run(store: Path, name: str, *overrides: str) -> RunDir:
    config = load_config("demo", [f"store={store}", f"name={name}", *overrides])
    return RunDir.create(store / "runs" / name, config, code_version="abc+dirty")


def mlflow_id(client, run: RunDir) -> str:
    experiment = client.get_experiment_by_name("dual").experiment_id
    (found,) = client.search_runs([experiment], filter_string=f"tags.`dual.run_id` = '{run.identity().run_id}'")
    return found.info.run_id


def history(run: RunDir, key: str) -> list[tuple[int, float, int]]:
    with store_of(run.config()).client() as client:
        return [(m.step, m.value, m.timestamp) for m in client.get_metric_history(mlflow_id(client, run), key)]


def test_a_run_is_one_mlflow_run_however_often_it_is_synced(store):
    run = make_run(store, "often")
    with Journal(run.journal) as journal:
        for step in range(5):
            journal.metrics(step, {"train/loss": 5.0 - step}, time_ms=1000 + step)
        ids = {sync(run), sync(run)}
        journal.metrics(5, {"train/loss": 0.0}, time_ms=1005)
        journal.metrics(3, {"train/loss": 2.0}, time_ms=1006)  # a step repeated after a resume, bit-equal
        run.append_segment(Segment(event="start", job_id="41"))
        run.append_segment(Segment(event="start", job_id="42"))
        ids.add(sync(run, artifacts=False))
    assert len(ids) == 1
    assert history(run, "train/loss") == [(step, 5.0 - step, 1000 + step) for step in range(6)]
    with store_of(run.config()).client() as client:
        found = client.get_run(ids.pop())
        assert {file.path for file in client.list_artifacts(found.info.run_id, "reports")} == {
            "reports/training_curves.png"
        }
    assert found.data.tags["dual.jobs"] == "41,42"
    assert found.data.tags["dual.code_version"] == "abc+dirty"
    assert found.data.tags[CURSOR_TAG] == str(run.journal.stat().st_size)
    assert found.data.params["model.hidden_size"] == str(run.config().model.hidden_size)
    assert found.info.status == "RUNNING"


def test_a_sync_that_lost_its_cursor_adds_nothing(store):
    run = make_run(store, "cursor")
    with Journal(run.journal) as journal:
        journal.metrics(1, {"loss": 1.0, "odd": math.nan}, time_ms=7)
    run_id = sync(run, artifacts=False)
    with store_of(run.config()).client() as client:
        client.set_tag(run_id, CURSOR_TAG, "0")
    sync(run, artifacts=False)
    assert history(run, "loss") == [(1, 1.0, 7)]
    assert len(history(run, "odd")) == 1


def test_a_journal_that_lost_its_end_with_a_node_is_sent_again(store):
    run = make_run(store, "shrunk")
    with Journal(run.journal) as journal:
        for step in range(6):
            journal.metrics(step, {"loss": float(step)}, time_ms=step)
    sync(run, artifacts=False)
    whole = run.journal.read_bytes()
    run.journal.write_bytes(whole[: len(whole) // 2])
    with Journal(run.journal) as journal:
        for step in range(3, 6):
            journal.metrics(step, {"loss": step + 0.5}, time_ms=100 + step)
    assert run.journal.stat().st_size >= len(whole)
    sync(run, artifacts=False)
    assert {(step, value) for step, value, _ in history(run, "loss")} == {
        *((step, float(step)) for step in range(6)),
        *((step, step + 0.5) for step in range(3, 6)),
    }


def test_many_small_syncs_leave_what_one_late_sync_leaves(store):
    live, late = make_run(store, "piecewise"), make_run(store, "at-once")
    lines = [(step % 4, {"loss": float(step), "odd": math.nan if step % 3 else step / 7}) for step in range(9)]
    for number, (step, values) in enumerate(lines):  # every third is synced: a sync may bring several lines
        for run in (live, late):
            with Journal(run.journal) as journal:
                journal.metrics(step, values, time_ms=number)
        if number % 3 == 0:
            sync(live, artifacts=False)
    sync(live, artifacts=False)
    sync(late, artifacts=False)
    for key in ("loss", "odd"):
        assert str(sorted(history(live, key), key=str)) == str(sorted(history(late, key), key=str))


def test_parameters_that_a_killed_sync_did_not_send_are_sent_by_the_next(store, monkeypatch):
    run = make_run(store, "killed")
    from mlflow import MlflowClient

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_batch", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            sync(run, artifacts=False)
    run_id = sync(run, artifacts=False)
    with store_of(run.config()).client() as client:
        assert client.get_run(run_id).data.params["name"] == "killed"


def test_what_a_free_section_holds_becomes_parameters_that_mlflow_takes(store):
    run = make_run(store, "free", 'model.audio.config={"a b!": 1, ' + "k" * 300 + ": 2}")
    run_id = sync(run, artifacts=False)
    with store_of(run.config()).client() as client:
        assert client.get_run(run_id).data.params["model.audio.config.a b_"] == "1"


def test_processes_that_create_the_store_at_once_do_not_break_it(tmp_path):
    runs = [make_run(tmp_path, f"r{n}") for n in range(2)]
    for run in runs:
        with Journal(run.journal) as journal:
            journal.metrics(1, {"loss": 1.0}, time_ms=7)
    program = (
        "import sys; from dual_hpc.tracking import mlflow_store as s, mlflow_sync as m\n"
        "s.Store.client.__wrapped__.__defaults__ = (None, 500)  # a busy machine takes long\n"
        "m.sync(m.RunDir.open(sys.argv[1]), artifacts=False)"
    )
    workers = [subprocess.Popen([sys.executable, "-c", program, str(run.path)]) for run in runs]
    assert [worker.wait(600) for worker in workers] == [0, 0]
    assert [history(run, "loss") for run in runs] == [[(1, 1.0, 7)]] * 2


def test_a_store_kept_by_another_writer_is_given_up_after_a_while(store):
    held = store_of(make_run(store, "held").config())
    with held.client(), pytest.raises(EnvironmentFault, match="another process"), held.client(patience=0.2):
        pass


def test_two_writers_of_one_run_take_turns_at_a_server_as_well(store):
    server = store_of(make_run(store, "turns", "tracking.uri=http://127.0.0.1:9").config())
    one, other = make_run(store, "one"), make_run(store, "other")
    refused = pytest.raises(EnvironmentFault, match="another process")
    with server.client(one.path), server.client(other.path), refused, server.client(one.path, patience=0.2):
        pass


def test_an_experiment_that_another_job_creates_at_the_same_moment_is_found(store):
    from mlflow import MlflowClient

    class Late(MlflowClient):
        """Sees the experiment only once somebody has failed to create it."""

        failed = False

        def create_experiment(self, *args, **options):
            self.failed = True
            return super().create_experiment(*args, **options)

        def get_experiment_by_name(self, name):
            return super().get_experiment_by_name(name) if self.failed else None

    ours = store_of(make_run(store, "first").config())
    with ours.client():
        made = experiment_id(MlflowClient(ours.uri), ours, "crowd")
        assert experiment_id(Late(ours.uri), ours, "crowd") == made


def test_a_run_stays_one_run_when_its_experiment_gets_another_name(store):
    run = make_run(store, "renamed", "tracking.experiment=draft")
    run_id = sync(run, artifacts=False)
    with Journal(run.journal) as journal:
        journal.metrics(1, {"loss": 1.0}, time_ms=7)
    with store_of(run.config()).client() as client:
        client.rename_experiment(client.get_run(run_id).info.experiment_id, "for the paper")
    assert sync(run, artifacts=False) == run_id
    with store_of(run.config()).client() as client:
        assert client.get_experiment_by_name("draft") is None
        assert client.get_run(run_id).data.metrics == {"loss": 1.0}


def test_a_run_of_a_deleted_experiment_is_neither_written_nor_made_anew(store):
    run = make_run(store, "deleted", "tracking.experiment=bin")
    run_id = sync(run, artifacts=False)
    with store_of(run.config()).client() as client:
        experiment = client.get_run(run_id).info.experiment_id
        client.delete_experiment(experiment)
    with pytest.raises(UserError, match=r"tracking\.experiment: 'bin' was deleted"):
        sync(run, artifacts=False)
    with store_of(run.config()).client() as client:
        client.restore_experiment(experiment)
    assert sync(run, artifacts=False) == run_id


def test_a_cursor_that_somebody_has_edited_costs_a_repetition(store):
    run = make_run(store, "edited")
    with Journal(run.journal) as journal:
        journal.metrics(1, {"loss": 1.0}, time_ms=7)
    run_id = sync(run, artifacts=False)
    for nonsense in ("everything", "-5", "99999999"):
        with store_of(run.config()).client() as client:
            client.set_tag(run_id, CURSOR_TAG, nonsense)
        sync(run, artifacts=False)
    assert history(run, "loss") == [(1, 1.0, 7)]


def test_an_unreachable_server_costs_one_warning_and_a_later_sync_repairs_it(store, caplog):
    run = make_run(store, "away", "tracking.uri=http://127.0.0.1:9")
    with Journal(run.journal) as journal:
        journal.metrics(1, {"loss": 1.0}, time_ms=7)
    with caplog.at_level(logging.WARNING):
        synchroniser = Synchroniser(run, interval=0.01).start()
        time.sleep(0.3)
        assert synchroniser.close(patience=500) is False
    assert 1 <= sum("MLflow is not up to date" in record.message for record in caplog.records) <= 2
    text = run.config_file.read_text()
    run.config_file.write_text(text.replace("uri: http://127.0.0.1:9", "uri: ''"))
    sync(run)
    assert history(run, "loss") == [(1, 1.0, 7)]


def test_a_server_that_never_answers_does_not_keep_a_stopped_job(store, monkeypatch, caplog):
    with socket.create_server(("127.0.0.1", 0)) as mute:  # takes connections, and says nothing
        run = make_run(store, "mute", f"tracking.uri=http://127.0.0.1:{mute.getsockname()[1]}")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "3600")
        synchroniser = Synchroniser(run, interval=0.01).start()
        connection, _ = mute.accept()  # the sync waits for its answer now
        with connection, caplog.at_level(logging.WARNING):
            assert synchroniser.close(patience=0.1) is False
            assert synchroniser._thread.is_alive()
    assert "a sync hangs" in caplog.text


def test_the_last_sync_of_a_stopped_job_is_given_up_as_well(store, monkeypatch):
    run = make_run(store, "mute-later")
    begun, over = threading.Event(), threading.Event()

    def hang(run: RunDir, *, artifacts: bool, model: Path | None) -> str:
        if artifacts:
            begun.set()
            over.wait(600)
        return ""

    monkeypatch.setattr(mlflow_sync, "sync", hang)
    synchroniser = Synchroniser(run, interval=3600).start()
    assert synchroniser.close(patience=0.1) is False
    assert begun.wait(600)
    over.set()


def test_the_background_thread_follows_the_journal(store):
    run = make_run(store, "live")
    synchroniser = Synchroniser(run, interval=0.05).start()
    with Journal(run.journal) as journal:
        for step in range(20):
            journal.metrics(step, {"loss": float(step)}, time_ms=step)
            time.sleep(0.01)
    run.append_segment(Segment(event="end", job_id="1", reason="finished"))
    assert synchroniser.close(patience=500) is True
    assert [step for step, _, _ in history(run, "loss")] == list(range(20))


def test_the_best_score_stands_beside_the_last_one(store):
    run = make_run(store, "chosen")
    with Journal(run.journal) as journal:
        for step, score, best in ((1, 0.5, True), (2, 0.75, True), (3, 0.25, False), (2, 0.75, True)):
            journal.metrics(step, {"val/av/ua": score}, time_ms=step)
            if best:
                journal.event("best", step, score=score)
        journal.event("best", 4, score="odd")
    run_id = sync(run, artifacts=False)
    with store_of(run.config()).client() as client:
        assert client.get_run(run_id).data.metrics == {"val/av/ua": 0.25, "best/av/ua": 0.75}
    assert [(step, value) for step, value, _ in history(run, "best/av/ua")] == [(1, 0.5), (2, 0.75)]


def test_the_scores_of_a_report_become_metrics_once(store):
    run = make_run(store, "scored")
    report = {"subsets": {"av": {"count": 9, "ua": 0.5, "confusion": [[1]]}}, "text_reliance": {"ua": 0.125}}
    (run.reports / "test_best.json").write_text(json.dumps(report))
    (run.reports / "other.json").write_text("[1, 2]")
    (run.reports / "torn.json").write_text('{"subsets": {"av": {"ua": 0.5')
    sync(run)
    sync(run)
    assert [value for _, value, _ in history(run, "test_best/av/ua")] == [0.5]
    assert [value for _, value, _ in history(run, "test_best/text_reliance/ua")] == [0.125]
    assert history(run, "test_best/av/count") == []


def test_a_run_is_described_by_its_test_until_somebody_writes_another_description(store):
    run = make_run(store, "described")

    def described() -> str:
        run_id = sync(run)
        with store_of(run.config()).client() as client:
            return client.get_run(run_id).data.tags.get("mlflow.note.content", "")

    assert described() == ""
    for text in ("# Evaluation\nfirst", "# Evaluation\nsecond"):
        (run.reports / "test_best.md").write_text(text)
        assert described() == text
    with store_of(run.config()).client() as client:
        client.set_tag(mlflow_id(client, run), "mlflow.note.content", "the one in the paper")
    assert described() == "the one in the paper"


@pytest.mark.parametrize("uri", ["file:///tmp/mlruns", "databricks", "mlruns"])
def test_a_store_that_mlflow_no_longer_offers_is_refused_by_setting(tmp_path, uri):
    with pytest.raises(UserError, match=r"tracking\.uri"):
        store_of(load_config("demo", [f"store={tmp_path}", f"tracking.uri={uri}"]))


@pytest.mark.parametrize(("folder", "uri"), [("a?b", ""), ("a%20b", ""), ("a", "sqlite:///x.db?timeout=9")])
def test_a_path_that_an_address_cannot_hold_is_refused_before_another_file_is_written(tmp_path, folder, uri):
    config = load_config("demo", [f"store={tmp_path / folder}", f"tracking.uri={uri!r}"])
    with pytest.raises(UserError, match=r"path with \? or %"):
        store_of(config)
    assert not list(tmp_path.iterdir())


def test_the_best_export_of_a_finished_run_becomes_an_mlflow_model_that_answers(store, saved_model):
    import mlflow

    run = make_run(store, "model-1.5")
    run.exports.mkdir()
    shutil.copytree(saved_model, run.exports / "step_00000057")
    (run.exports / "best").symlink_to("step_00000057")
    run.append_segment(Segment(event="end", job_id="1", reason="finished", time=run.identity().created + 60))
    run_id = sync(run)
    sync(run)
    store_uri = store_of(run.config()).uri
    with store_of(run.config()).client() as client:
        found = client.get_run(run_id)
        (logged,) = client.search_logged_models([found.info.experiment_id])
        assert found.info.status == "FINISHED"
        assert found.info.end_time == int((run.identity().created + 60) * 1000)
        assert [(one.model_id, one.step) for one in client.get_run(run_id).outputs.model_outputs] == [
            (logged.model_id, 57)
        ]
    assert logged.name == "model-1_5"
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store_uri)
    try:
        served = mlflow.pyfunc.load_model(f"models:/{logged.model_id}")
    finally:
        mlflow.set_tracking_uri(before)
    assert served.metadata.metadata["labels"] == ["angry", "happy", "neutral", "sad"]
    assert not list(Path(logged.artifact_location.removeprefix("file://")).rglob("*.pkl"))
    batch = {
        "waveform": np.zeros((2, 16_000), np.float32),
        "waveform_lengths": np.array([16_000, 0]),
        "frames": np.zeros((2, 5, 3, 32, 32), np.uint8),
        "frame_lengths": np.array([5, 5]),
        "durations": np.ones(2, np.float32),
        "input_ids": np.zeros((2, 1), np.int64),
        "attention_mask": np.zeros((2, 1), np.int64),
    }
    answer = served.predict(batch)
    assert answer.shape == (2, 4)
    np.testing.assert_allclose(answer.sum(1), 1, rtol=1e-5)
    with pytest.raises(mlflow.MlflowException):
        served.predict({**batch, "waveform": np.zeros((2, 16_000), np.float64)})
