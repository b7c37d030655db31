"""What people ask MLflow: twelve questions, each one query of its client."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from dual_hpc.errors import UserError
from dual_hpc.run.directory import RunDir, Segment
from dual_hpc.run.journal import Journal
from dual_hpc.tracking.mlflow_lookup import saved_folder
from dual_hpc.tracking.mlflow_registry import Registered, register
from dual_hpc.tracking.mlflow_store import store_of
from dual_hpc.tracking.mlflow_sync import sync
from tests.unit.tracking.runs import make_run

pytestmark = pytest.mark.slow
DATA = "c0ffee" * 5 + "00"
RUNS = (("fold3-a", 3, 1, 0.70, 0.55), ("fold3-b", 3, 2, 0.60, 0.75), ("fold5-a", 5, 1, 0.80, 0.65))


def trained(store: Path, saved_model: Path, name: str, fold: int, seed: int, score: float, test: float) -> RunDir:
    """A finished run with two exports, evaluated both."""
    run = make_run(store, name, "data.protocol=iemocap4", f"data.test_fold={fold}", f"seed={seed}")
    for step, link in ((20, "best"), (40, "last")):
        shutil.copytree(saved_model, run.exports / f"step_{step:08d}")
        (run.exports / link).symlink_to(f"step_{step:08d}")
    run.append_segment(Segment(event="start", job_id=f"1{seed}"))
    with Journal(run.journal) as journal:
        splits = {"train": 90, "validation": 10}
        journal.event("start", 0, total_steps=40, dataset=DATA, test_fold=fold, splits=splits)
        for step in range(10, 41, 10):
            journal.metrics(step, {"train/loss": 10 / step}, time_ms=1000 * step)
        for step, value in ((20, score), (40, score - 0.1)):
            journal.metrics(step, {"val/av/ua": value}, time_ms=1000 * step)
        journal.event("best", 20, score=score)
    run.append_segment(Segment(event="end", job_id=f"1{seed}", step=40, reason="finished"))
    about = {"dataset": DATA, "protocol": "iemocap4", "split": "test", "test_fold": fold, "count": 7}
    for link, step, value in (("best", 20, test), ("last", 40, test - 0.05)):
        report = {"about": {**about, "checkpoint": f"{link} (step_{step:08d})"}, "subsets": {"av": {"ua": value}}}
        (run.reports / f"test_{link}.json").write_text(json.dumps(report))
        (run.reports / f"test_{link}.md").write_text(f"# Evaluation\n\nUA {value}\n")
    return run


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory, saved_model: Path) -> Iterator[tuple[MlflowClient, Any]]:
    """A client, and the experiment, the runs' ids and what was registered."""
    store = tmp_path_factory.mktemp("asked")
    runs = {row[0]: trained(store, saved_model, *row) for row in RUNS}
    ids = {name: sync(run) for name, run in runs.items()}
    registered: list[Registered] = [
        register(runs[name], ids[name], "best", "emotions") for name in ("fold3-b", "fold3-a", "fold5-a", "fold3-b")
    ]
    with store_of(runs["fold3-a"].config()).client() as client:
        experiment = client.get_experiment_by_name("dual")
        assert experiment is not None
        yield client, (experiment.experiment_id, ids, registered)


def names(runs: Any) -> set[str]:
    return {run.info.run_name for run in runs}


def test_1_all_runs_of_fold_3(answers: Any) -> None:
    client, (experiment, _, _) = answers
    assert names(client.search_runs([experiment], "tags.`dual.test_fold` = '3'")) == {"fold3-a", "fold3-b"}


def test_2_all_runs_of_a_protocol_that_have_finished(answers: Any) -> None:
    client, (experiment, _, _) = answers
    found = client.search_runs([experiment], "tags.`dual.protocol` = 'iemocap4' and attributes.status = 'FINISHED'")
    assert len(found) == 3


def test_3_the_run_that_is_best_on_validation(answers: Any) -> None:
    client, (experiment, _, _) = answers
    found = client.search_runs([experiment], order_by=["metrics.`best/av/ua` DESC"], max_results=1)
    assert names(found) == {"fold5-a"}


def test_4_all_runs_on_a_data_set_by_its_digest(answers: Any) -> None:
    client, (experiment, _, _) = answers
    assert len(client.search_runs([experiment], f"dataset.digest = '{DATA}'")) == 3
    assert client.search_runs([experiment], "dataset.digest = 'other'") == []


def test_5_all_runs_that_trained_on_a_fold_s_training_split(answers: Any) -> None:
    client, (experiment, _, _) = answers
    query = "dataset.name = 'iemocap4-fold5-train' and dataset.context = 'train'"
    assert names(client.search_runs([experiment], query)) == {"fold5-a"}


def test_6_which_checkpoint_is_best_on_which_data(answers: Any) -> None:
    client, (experiment, ids, _) = answers
    best = {}
    for fold in (3, 5):
        (found,) = client.search_logged_models(
            [experiment],
            datasets=[{"dataset_name": f"iemocap4-fold{fold}-test", "dataset_digest": DATA}],
            order_by=[{"field_name": "metrics.test/av/ua", "ascending": False}],
            max_results=1,
        )
        best[fold] = (found.source_run_id, found.params["step"])
    assert best == {3: (ids["fold3-b"], "20"), 5: (ids["fold5-a"], "20")}


def test_7_checkpoints_above_a_score_on_a_split(answers: Any) -> None:
    client, (experiment, ids, _) = answers
    split = {"dataset_name": "iemocap4-fold3-test", "dataset_digest": DATA}
    found = client.search_logged_models([experiment], "metrics.`test/av/ua` > 0.6", datasets=[split])
    assert {(one.source_run_id, one.params["step"]) for one in found} == {
        (ids["fold3-b"], "20"),
        (ids["fold3-b"], "40"),
    }


def test_8_the_models_of_a_run_and_where_their_weights_are(answers: Any) -> None:
    client, (experiment, ids, _) = answers
    found = client.search_logged_models([experiment], f"source_run_id = '{ids['fold5-a']}'")
    assert {one.tags["dual.export"] for one in found} == {"best", "last"}
    assert all((Path(one.tags["dual.folder"]) / "model.safetensors").is_file() for one in found)


def test_9_the_model_aliased_best(answers: Any) -> None:
    client, (_, ids, registered) = answers
    best = client.get_model_version_by_alias("emotions", "best")
    # fold5-a has more, but on other data: it cannot be compared. fold3-a has more than fold3-b on the same.
    assert best.run_id == ids["fold3-a"] and best.tags["dual.run"] == "fold3-a"
    assert "best was chosen by val/av/ua on iemocap4-fold3-validation" in registered[2].note


def test_10_the_candidate_and_its_report(answers: Any) -> None:
    client, (_, ids, registered) = answers
    candidate = client.get_model_version_by_alias("emotions", "candidate")
    assert candidate.run_id == ids["fold3-b"] and candidate.description.startswith(
        "fold3-b, step 20: test/av/ua 0.7500\n\n# Evaluation\n\nUA 0.75"  # the list of versions shows its first line
    )
    assert [one.version for one in registered] == [1, 2, 3, 1], "the same model is registered once"
    assert client.get_registered_model("emotions").description.count("fold") >= 3


def test_11_versions_of_a_registered_model_by_run(answers: Any) -> None:
    client, (_, ids, _) = answers
    (found,) = client.search_model_versions(f"name = 'emotions' and run_id = '{ids['fold5-a']}'")
    assert int(found.version) == 3 and found.tags["dual.step"] == "20"


def test_12_what_a_version_takes_and_what_its_curve_was(answers: Any) -> None:
    from mlflow.models import Model

    client, (_, ids, _) = answers
    best = client.get_model_version_by_alias("emotions", "best")
    model = client.get_logged_model(best.tags["dual.model_id"])
    assert json.loads(model.tags["mlflow.modelVersions"]) == [{"name": "emotions", "version": best.version}]
    assert model.tags["mlflow.note.content"].startswith("# Evaluation"), "the table is the model's description"
    info = Model.load(model.artifact_location.removeprefix("file://"))
    assert [column.name for column in info.signature.inputs.inputs] == ["clip", "path", "text", "start", "end", "side"]
    assert info.saved_input_example_info is not None
    curve = client.get_metric_history(ids["fold3-a"], "train/loss")
    assert [(point.step, point.value) for point in curve] == [(10, 1.0), (20, 0.5), (30, 10 / 30), (40, 0.25)]


def test_the_weights_behind_an_address(answers: Any) -> None:
    client, (_, ids, _) = answers
    best = saved_folder(client, "models:/emotions@best")
    assert "fold3-a" in str(best) and (best / "model.safetensors").is_file()
    assert saved_folder(client, "models:/emotions/1") == saved_folder(client, f"runs:/{ids['fold3-b']}")
    assert saved_folder(client, f"runs:/{ids['fold3-b']}/last") != saved_folder(client, f"runs:/{ids['fold3-b']}/best")


@pytest.mark.parametrize(
    "address",
    ["models:/emotions@none", "models:/emotions/99", "models:/other/1", "runs:/0123", "models:/", "runs:/a/b/c"],
)
def test_an_address_of_nothing_is_one_line(answers: Any, address: str) -> None:
    client, _ = answers
    with pytest.raises(UserError, match="--model") as caught:
        saved_folder(client, address)
    assert "\n" not in str(caught.value)
