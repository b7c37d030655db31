"""Replaying a run into a real sqlite store: idempotent, incremental, harmless when it fails."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from dual_hpc.errors import UserError
from dual_hpc.run.alignment import AlignmentMatrices, append_alignment
from dual_hpc.run.directory import Segment
from dual_hpc.run.journal import Journal
from dual_hpc.run.profile_request import planned_trace_file
from dual_hpc.tracking.mlflow_store import store_of
from dual_hpc.tracking.mlflow_sync import sync
from dual_hpc.tracking.sent import NAME as SENT
from tests.unit.tracking.runs import history, make_run, mlflow_id

pytestmark = pytest.mark.slow


def test_a_run_is_one_mlflow_run_however_often_it_is_synced(store: Path) -> None:
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
    assert not [tag for tag in found.data.tags if "sync" in tag or "crc" in tag]
    assert found.data.params["model.hidden_size"] == str(run.config().model.hidden_size)
    assert found.info.status == "RUNNING"


def test_traces_of_steps_are_linked_and_the_alignment_matrices_are_a_figure(store: Path) -> None:
    run = make_run(store, "traced")
    with Journal(run.journal) as journal:
        journal.event("start", 0, total_steps=9)
        journal.metrics(1, {"train/loss": 1.0})
    matrices = AlignmentMatrices(step=1, epoch=0.5, key="a", seconds=1.0, matrices={"static": [[1.0]]})
    append_alignment(run.path, [matrices])
    for trace in (planned_trace_file(run.path, (2, 4), 0), planned_trace_file(run.path, (2, 4), 1)):
        trace.parent.mkdir(parents=True, exist_ok=True)
        trace.write_bytes(b"trace")
    run_id, folder = sync(run), str(trace.parent)
    with store_of(run.config()).client() as client:
        tags = client.get_run(run_id).data.tags
        assert "reports/alignment.png" in {file.path for file in client.list_artifacts(run_id, "reports")}
    assert tags["dual.profiles"] == folder
    assert folder in tags["mlflow.note.content"].replace("\\", "")


def test_a_sync_that_lost_its_cursor_adds_nothing(store: Path) -> None:
    run = make_run(store, "cursor")
    with Journal(run.journal) as journal:
        journal.metrics(1, {"loss": 1.0, "odd": math.nan}, time_ms=7)
    sync(run, artifacts=False)
    (run.path / SENT).unlink()
    sync(run, artifacts=False)
    assert history(run, "loss") == [(1, 1.0, 7)]
    assert len(history(run, "odd")) == 1


def test_a_journal_that_lost_its_end_with_a_node_is_sent_again(store: Path) -> None:
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


def test_many_small_syncs_leave_what_one_late_sync_leaves(store: Path) -> None:
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


def test_parameters_that_a_killed_sync_did_not_send_are_sent_by_the_next(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(store, "killed")
    from mlflow import MlflowClient

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_batch", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            sync(run, artifacts=False)
    run_id = sync(run, artifacts=False)
    with store_of(run.config()).client() as client:
        assert client.get_run(run_id).data.params["name"] == "killed"


def test_what_a_free_section_holds_becomes_parameters_that_mlflow_takes(store: Path) -> None:
    run = make_run(store, "free", 'model.audio.config={"a b!": 1, ' + "k" * 300 + ": 2}")
    run_id = sync(run, artifacts=False)
    with store_of(run.config()).client() as client:
        assert client.get_run(run_id).data.params["model.audio.config.a b_"] == "1"


def test_a_run_stays_one_run_when_its_experiment_gets_another_name(store: Path) -> None:
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


def test_a_run_of_a_deleted_experiment_is_neither_written_nor_created_again(store: Path) -> None:
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


def test_a_note_of_what_was_sent_that_somebody_has_edited_costs_a_repetition(store: Path) -> None:
    run = make_run(store, "edited")
    with Journal(run.journal) as journal:
        journal.metrics(1, {"loss": 1.0}, time_ms=7)
    run_id = sync(run, artifacts=False)
    where = f"{store_of(run.config()).uri} {run_id}"
    for nonsense in (
        "everything",
        "[]",
        '{"a": 1}',
        *(json.dumps({where: {"journal.jsonl": n}}) for n in (-5, [9, 0])),
    ):
        (run.path / SENT).write_text(nonsense)
        sync(run, artifacts=False)
    assert history(run, "loss") == [(1, 1.0, 7)]


def test_the_best_score_is_a_metric_of_its_own(store: Path) -> None:
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


def test_the_scores_of_a_report_become_metrics_once(store: Path) -> None:
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


def test_a_run_is_described_by_its_test_until_somebody_writes_another_description(store: Path) -> None:
    run = make_run(store, "described")

    def described() -> str:
        run_id = sync(run)
        with store_of(run.config()).client() as client:
            return client.get_run(run_id).data.tags.get("mlflow.note.content", "")

    assert described() == ""
    with Journal(run.journal) as journal:
        journal.event("start", 0, total_steps=9)
    assert described().startswith("# Run described\n\n0 of 9 steps")
    for text in ("# Evaluation\nfirst", "# Evaluation\nsecond"):
        (run.reports / "test_best.md").write_text(text)
        assert described() == text
    with store_of(run.config()).client() as client:
        client.set_tag(mlflow_id(client, run), "mlflow.note.content", "the one in the paper")
    assert described() == "the one in the paper"


def test_a_database_that_was_put_back_from_a_copy_gets_everything_again(store: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path, "restored")
    with Journal(run.journal) as journal:
        journal.metrics(1, {"loss": 1.0}, time_ms=7)
        sync(run, artifacts=False)
        database = tmp_path / "mlflow.db"
        copy = database.read_bytes()
        journal.metrics(2, {"loss": 0.5}, time_ms=8)
        sync(run, artifacts=False)
        database.write_bytes(copy)
        journal.metrics(3, {"loss": 0.25}, time_ms=9)
        sync(run, artifacts=False)
    assert history(run, "loss") == [(1, 1.0, 7), (2, 0.5, 8), (3, 0.25, 9)]


def test_what_earlier_versions_noted_among_the_tags_is_taken_away(store: Path) -> None:
    run = make_run(store, "tagged")
    run_id = sync(run, artifacts=False)
    with store_of(run.config()).client() as client:
        for tag in ("dual.synced_bytes", "dual.synced_crc"):
            client.set_tag(run_id, tag, "12")
    sync(run, artifacts=False)
    with store_of(run.config()).client() as client:
        assert not [tag for tag in client.get_run(run_id).data.tags if "sync" in tag]


def test_the_data_of_a_run_are_inputs_with_their_id_as_digest_and_tags_to_choose_by(store: Path) -> None:
    run = make_run(store, "fed", "data.protocol=iemocap4", "data.test_fold=3", "seed=7")
    facts = {"dataset": "ab" * 16, "test_fold": 3, "splits": {"train": 90, "validation": 10}}
    with Journal(run.journal) as journal:
        journal.event("start", 0, total_steps=4, **facts)
        journal.event("start", 2, total_steps=4, **facts)
    for _ in range(2):
        run_id = sync(run, artifacts=False)
    with store_of(run.config()).client() as client:
        found = client.get_run(run_id)
    inputs = {one.dataset.name: one for one in found.inputs.dataset_inputs}
    assert set(inputs) == {"iemocap4-fold3-train", "iemocap4-fold3-validation"}
    train = inputs["iemocap4-fold3-train"]
    assert train.dataset.digest == "ab" * 16
    assert json.loads(str(train.dataset.profile))["num_rows"] == 90
    said = {tag.key: tag.value for tag in train.tags}
    assert said == {
        "mlflow.data.context": "train",
        "dual.protocol": "iemocap4",
        "dual.split": "train",
        "dual.test_fold": "3",
    }
    assert found.data.tags["dual.test_fold"] == "3" and found.data.tags["dual.seed"] == "7"
    assert found.data.tags["dual.progress"] == "2 of 4 steps"
