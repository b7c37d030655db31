"""MLflow's own run of a sweep: made with it, or later where MLflow was away when it was submitted."""

from __future__ import annotations

from pathlib import Path

import pytest

from dual_hpc.config import RunConfig, load_config
from dual_hpc.errors import UserError
from dual_hpc.run.directory import RunDir, Segment
from dual_hpc.run.journal import Journal
from dual_hpc.tracking.mlflow_format import user_name
from dual_hpc.tracking.mlflow_store import experiment_id, store_of
from launch.sweeps import report
from launch.sweeps.grid import SweepDir, folder, grid
from launch.sweeps.parent_run import (
    NOTE_TAG,
    PARENT_TAG,
    SWEEP_TAG,
    delete_parent_run,
    log_to_mlflow,
    make_parent_run,
    tags_of,
)
from launch.sweeps.results import rows_of


def sweep_in(store: Path) -> tuple[RunConfig, SweepDir]:
    made = SweepDir(folder(store, "cv"), grid("cv", ["seeds=0..1"]))
    made.path.mkdir(parents=True)
    made.save()
    (made.path / "table.md").write_text("table")
    return load_config("demo", [f"store={store}"]), made


def test_a_server_that_is_away_stops_no_sweep(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _, sweep = sweep_in(tmp_path)
    away = load_config("demo", [f"store={tmp_path}", "tracking.uri=http://127.0.0.1:9"])
    assert make_parent_run(away, sweep) is None
    assert "MLflow cannot be reached" in caplog.text and "dual-hpc sweep --show cv" in caplog.text
    delete_parent_run(away, "x" * 32)
    assert "left behind" in caplog.text
    with pytest.raises(UserError, match="neither sqlite"):
        make_parent_run(load_config("demo", [f"store={tmp_path}", "tracking.uri=ftp://x"]), sweep)


def test_a_sweep_that_was_submitted_without_mlflow_is_grouped_when_its_table_is_shown(tmp_path: Path) -> None:
    config, sweep = sweep_in(tmp_path)
    store = store_of(config)
    with store.client() as client:
        experiment = experiment_id(client, store, config.tracking.experiment)
        members = [client.create_run(experiment, run_name=m.name, tags={SWEEP_TAG: "cv"}) for m in sweep.sweep.members]
        stranger = client.create_run(experiment, run_name="other", tags={SWEEP_TAG: "cv"})
    for _ in range(2):
        log_to_mlflow(config, sweep, rows_of(sweep), ["table.md"])
    with store.client() as client:
        parents = {client.get_run(run.info.run_id).data.tags[PARENT_TAG] for run in members}
        assert len(parents) == 1, "made once"
        assert PARENT_TAG not in client.get_run(stranger.info.run_id).data.tags
        assert [file.path for file in client.list_artifacts(parents.pop())] == ["table.md"]


def test_the_run_of_a_new_sweep_is_made_at_once_and_used_later(tmp_path: Path) -> None:
    config, sweep = sweep_in(tmp_path)
    parent = make_parent_run(config, sweep)
    assert parent is not None
    with store_of(config).client() as client:
        begun, params = client.get_run(parent).data.tags[NOTE_TAG], client.get_run(parent).data.params
        assert client.get_run(parent).info.user_id == user_name()
    assert params == {"sweep.seed": "0, 1"}, "its list can be chosen by what varies while it trains"
    assert begun.startswith("# Sweep cv\n\n2 members") and "| sweep.seed | 0, 1 |" in begun
    config.tracking.tags[PARENT_TAG] = parent
    log_to_mlflow(config, sweep, rows_of(sweep), ["table.md"])
    with store_of(config).client() as client:
        assert client.get_run(parent).info.status == "RUNNING"
        assert client.get_run(parent).data.tags[NOTE_TAG] != begun
    delete_parent_run(config, parent)
    with store_of(config).client() as client:
        assert client.get_run(parent).info.lifecycle_stage == "deleted"


def test_the_run_of_a_sweep_has_settings_means_table_figure_and_duration(tmp_path: Path) -> None:
    base = ["data.protocol=iemocap4", f"store={tmp_path}"]
    made = SweepDir(folder(tmp_path, "study"), grid("study", ["optim.lr=1e-4,3e-4", "seeds=0..1"]))
    made.path.mkdir(parents=True)
    made.save()
    config = load_config("demo", base)
    parent = make_parent_run(config, made)
    assert parent is not None
    for number, (run, member) in enumerate(zip(made.runs(), made.sweep.members, strict=True)):
        RunDir.create(run.path, load_config("demo", [*base, *member.overrides, f"name={member.name}"]))
        with Journal(run.journal) as journal:
            data = {"dataset": "d1", "splits": {"train": 20, "validation": 5}, "test_fold": 5}
            journal.event("start", 0, total_steps=4, **data)
            journal.metrics(4, {"val/av/ua": 0.5})
            journal.event("best", 4, score=0.5 + number / 10)
        run.append_segment(Segment(event="start", job_id="1"))
        end = run.identity().created + 100 + number
        run.append_segment(Segment(event="end", job_id="1", step=4, reason="finished", time=end))
    config.tracking.tags[PARENT_TAG] = parent
    rows = rows_of(made)
    report.write(made, rows)
    for _ in range(2):
        log_to_mlflow(config, made, rows, (report.MARKDOWN, report.JSON, report.FIGURE))
    with store_of(config).client() as client:
        found = client.get_run(parent)
        means = [(m.step, m.value) for m in client.get_metric_history(parent, "validation/mean")]
        note = found.data.tags["mlflow.note.content"]
        assert means == [(0, pytest.approx(0.55)), (1, pytest.approx(0.75))]
        assert found.data.params["sweep.optim.lr"] == "1e-4, 3e-4" and found.data.params["sweep.seed"] == "0, 1"
        assert found.data.params["data.protocol"] == "iemocap4"
        assert not {"optim.lr", "seed", "name"} & found.data.params.keys(), "those differ"
        assert found.info.status == "FINISHED" and found.info.end_time == int(end * 1000)
        assert not [key for key in found.data.metrics if "lr" in key], "no metric of its own for each setting"
        assert note.startswith("# Sweep study") and f"get-artifact?path=scores.png&run_uuid={parent}" in note
        inputs = [(one.dataset.name, one.dataset.digest) for one in found.inputs.dataset_inputs]
        assert sorted(inputs) == [("iemocap4-fold5-train", "d1"), ("iemocap4-fold5-validation", "d1")]
        client.set_tag(parent, "mlflow.note.content", "mine")
    log_to_mlflow(config, made, rows, (report.MARKDOWN, report.JSON, report.FIGURE))
    with store_of(config).client() as client:
        assert client.get_run(parent).data.tags["mlflow.note.content"] == "mine"
    assert tags_of(made.sweep.members[0]) == {"sweep.optim.lr": "1e-4", "sweep.seed": "0"}
