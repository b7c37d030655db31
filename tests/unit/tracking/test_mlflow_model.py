"""An MLflow model: what it says of its inputs is what it reads, be it media or features, and it answers."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dual_hpc.config.schema import ModelConfig
from dual_hpc.errors import EnvironmentFault
from dual_hpc.inference.served_model import ServedModel
from dual_hpc.model import build_model, save_model
from dual_hpc.run.directory import RunDir, Segment
from dual_hpc.run.journal import Journal
from dual_hpc.tracking.mlflow_model import copy_package, read_config, signature
from dual_hpc.tracking.mlflow_store import store_of
from dual_hpc.tracking.mlflow_sync import sync
from tests.unit.tracking.runs import history, make_run

SIZES: dict[str, tuple[int, ...]] = {"audio": (50, 6), "video": (5, 10), "durations": ()}


@pytest.fixture(scope="module")
def features_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of audio and video features; it reads no text."""
    config = ModelConfig.model_validate(
        {
            **{"hidden_size": 16, "num_heads": 2, "residual_layers": 1, "decoder_layers": 1, "use_text": False},
            "audio": {"kind": "features", "config": {"width": 6, "rate_hz": 50.0}},
            "video": {"kind": "features", "config": {"width": 10}},
        }
    )
    folder = tmp_path_factory.mktemp("model") / "features"
    save_model(build_model(config, ["angry", "happy", "neutral", "sad"], {}, None, None), None, folder)
    return folder


def test_a_batch_of_features_made_from_the_signature_is_answered(features_model: Path) -> None:
    inputs = signature(read_config(features_model)).inputs.inputs
    batch: dict[str, Any] = {}
    for tensor in inputs:
        size = SIZES.get(tensor.name, () if tensor.name.endswith("_lengths") else (3,))
        assert all(said in (-1, is_) for said, is_ in zip(tensor.shape, (2, *size), strict=True)), tensor.name
        batch[tensor.name] = np.ones((2, *size), tensor.type)
    assert "audio" in batch and "text" not in batch
    served = ServedModel()
    served.load_context(SimpleNamespace(model_config={"folder": str(features_model)}))
    answer = served.predict(None, batch)
    assert answer.shape == (2, 4)
    np.testing.assert_allclose(answer.sum(1), 1, rtol=1e-5)


def test_tensors_are_answered_by_a_model_of_media_as_well(saved_model: Path) -> None:
    served = ServedModel()
    served.load_context(SimpleNamespace(model_config={"folder": str(saved_model)}))
    batch = {
        "waveform": np.zeros((2, 16_000), np.float32),
        "waveform_lengths": np.array([16_000, 0]),
        "frames": np.zeros((2, 5, 3, 32, 32), np.uint8),
        "frame_lengths": np.array([5, 5]),
        "durations": np.ones(2, np.float32),
        "input_ids": np.zeros((2, 1), np.int64),
        "attention_mask": np.zeros((2, 1), np.int64),
    }
    answer = served.predict(None, batch)
    assert answer.shape == (2, 4)
    np.testing.assert_allclose(answer.sum(1), 1, rtol=1e-5)


def test_a_refusal_is_one_line_without_a_trace_for_the_client(saved_model: Path) -> None:
    from mlflow.exceptions import MlflowException

    served = ServedModel()
    served.load_context(SimpleNamespace(model_config={"folder": str(saved_model)}))
    durations = {"durations": np.ones(1, np.float32)}
    sound = {"waveform": np.zeros((1, 16_000), np.float32), "waveform_lengths": np.array([16_000])}
    requests: list[Any] = [[{"path": "/etc/passwd"}], [{}], [7], durations, durations | sound]
    for asked in requests:
        with pytest.raises(MlflowException) as refused:
            served.predict(None, asked)
        assert refused.value.get_http_status_code() == 400
        assert "\n" not in str(refused.value) and "Traceback" not in refused.value.serialize_as_json()


def finished_run(store: Path, name: str, saved_model: Path, *overrides: str) -> RunDir:
    run = make_run(store, name, *overrides)
    run.exports.mkdir()
    shutil.copytree(saved_model, run.exports / "step_00000057")
    (run.exports / "best").symlink_to("step_00000057")
    run.append_segment(Segment(event="end", job_id="1", reason="finished", time=run.identity().created + 60))
    return run


def test_the_best_export_of_a_finished_run_becomes_an_mlflow_model_that_answers(store: Path, saved_model: Path) -> None:
    import mlflow

    run = finished_run(store, "model-1.5", saved_model)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # MLflow's advice about schemas and examples
        run_id = sync(run)
    sync(run)
    store_uri = store_of(run.config()).uri
    with store_of(run.config()).client() as client:
        found = client.get_run(run_id)
        (logged,) = client.search_logged_models([found.info.experiment_id])
        assert found.info.status == "FINISHED"
        assert found.info.end_time == int((run.identity().created + 60) * 1000)
        outputs = client.get_run(run_id).outputs
        assert outputs is not None
        assert [(one.model_id, one.step) for one in outputs.model_outputs] == [(logged.model_id, 57)]
    assert logged.name == "model-1_5"
    assert logged.tags["dual.export"] == "best" and logged.params["step"] == "57"
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store_uri)
    try:
        served = mlflow.pyfunc.load_model(f"models:/{logged.model_id}")
    finally:
        mlflow.set_tracking_uri(before)
    assert served.metadata.metadata["labels"] == ["angry", "happy", "neutral", "sad"]
    (answer,) = served.predict(served.input_example)
    assert sum(answer["probabilities"].values()) == pytest.approx(1)
    files = [path.name for path in Path(logged.artifact_location.removeprefix("file://")).rglob("*")]
    assert "MLmodel" in files and "model.safetensors" not in files, "the weights stay where they are"
    assert not [name for name in files if name.endswith(".pkl")]
    with pytest.raises(mlflow.MlflowException):
        served.predict({"clip": [3.5]})


def test_weights_that_were_replaced_since_are_not_served_as_those_that_were_logged(saved_model: Path) -> None:
    served, there = ServedModel(), {"folder": str(saved_model)}
    with pytest.raises(EnvironmentFault, match="other weights than those that were logged"):
        served.load_context(SimpleNamespace(model_config={**there, "sha256": "0" * 64}))
    with pytest.raises(EnvironmentFault, match="is not there: its run was moved or deleted"):
        served.load_context(SimpleNamespace(model_config={"folder": str(saved_model / "gone")}))


def test_a_model_that_a_killed_sync_has_begun_is_made_anew(store: Path, saved_model: Path) -> None:
    run = finished_run(store, "begun", saved_model, "tracking.experiment=begun")
    from mlflow import MlflowClient

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MlflowClient, "finalize_logged_model", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            sync(run)
    run_id = sync(run)
    with store_of(run.config()).client() as client:
        (logged,) = client.search_logged_models([client.get_run(run_id).info.experiment_id])
    assert str(logged.status) == "READY"


def test_a_model_has_the_scores_of_its_step_and_of_its_test_with_their_data(store: Path, saved_model: Path) -> None:
    run = finished_run(store, "scored", saved_model, "tracking.experiment=scored", "data.protocol=iemocap4")
    shutil.copytree(saved_model, run.exports / "step_00000080")
    (run.exports / "last").symlink_to("step_00000080")
    with Journal(run.journal) as journal:
        journal.event("start", 0, total_steps=80, dataset="d" * 32, test_fold=2, splits={"train": 9, "validation": 3})
        for step, score in ((40, 0.25), (57, 0.75), (80, 0.5)):
            journal.metrics(step, {"val/av/ua": score}, time_ms=step)
    about = {"dataset": "d" * 32, "protocol": "iemocap4", "split": "test", "test_fold": 2, "count": 5}
    for name, step, score in (("best", 57, 0.625), ("last", 80, 0.5)):
        report = {"about": {**about, "checkpoint": f"{name} (step_{step:08d})"}, "subsets": {"av": {"ua": score}}}
        (run.reports / f"test_{name}.json").write_text(json.dumps(report))
    for _ in range(2):
        run_id = sync(run)
    with store_of(run.config()).client() as client:
        experiment = client.get_run(run_id).info.experiment_id
        models = {one.tags["dual.export"]: one for one in client.search_logged_models([experiment])}
        best_on_test = client.search_logged_models(
            [experiment],
            datasets=[{"dataset_name": "iemocap4-fold2-test", "dataset_digest": "d" * 32}],
            order_by=[{"field_name": "metrics.test/av/ua", "ascending": False}],
        )
    assert [(step, value) for step, value, _ in history(run, "test/av/ua", "scored")] == [(57, 0.625), (80, 0.5)]
    assert {name: one.params["step"] for name, one in models.items()} == {"best": "57", "last": "80"}
    assert [one.params["step"] for one in best_on_test] == ["57", "80"]
    found = {(one.key, one.step): one for one in best_on_test[0].metrics}
    assert found["val/av/ua", 57].value == 0.75 and found["val/av/ua", 57].dataset_name == "iemocap4-fold2-validation"
    assert found["test/av/ua", 57].value == 0.625 and found["test/av/ua", 57].dataset_digest == "d" * 32
    assert len(found) == 2, "the other model's are not among them"


def test_the_logged_code_is_source_without_hidden_files_and_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "tree" / "dual_hpc"
    (package / "part").mkdir(parents=True)
    for name in ("__init__.py", "part/a.py", "part/preset.yaml", ".env", "part/id_rsa", "part/.token.py", "store.db"):
        (package / name).touch()
    monkeypatch.setattr("dual_hpc.tracking.mlflow_model._PACKAGE", package)
    copy_package(tmp_path / "logged")
    logged = {path.relative_to(tmp_path / "logged").as_posix() for path in (tmp_path / "logged").rglob("*.*")}
    assert logged == {f"dual_hpc/{name}" for name in ("__init__.py", "part/a.py", "part/preset.yaml")}
