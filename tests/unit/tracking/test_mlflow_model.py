"""An MLflow model: what it says of its inputs is what it reads, be it media or features, and it answers."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dual_hpc.config.schema import ModelConfig
from dual_hpc.inference.served_model import ServedModel
from dual_hpc.model import build_model, save_model
from dual_hpc.run.directory import Segment
from dual_hpc.tracking.mlflow_model import copy_package, input_example, read_config, signature
from dual_hpc.tracking.mlflow_store import store_of
from dual_hpc.tracking.mlflow_sync import sync
from tests.unit.tracking.runs import make_run

SIZES = {"waveform": (16_000,), "frames": (5, 3, 32, 32), "audio": (50, 6), "video": (5, 10), "durations": ()}


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


@pytest.mark.parametrize("which", ["saved_model", "features_model"])
def test_a_batch_made_from_the_signature_is_answered(which: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(which)
    inputs = signature(read_config(folder)).inputs.inputs
    batch: dict[str, Any] = {}
    for tensor in inputs:
        size = SIZES.get(tensor.name, () if tensor.name.endswith("_lengths") else (3,))
        assert all(said in (-1, is_) for said, is_ in zip(tensor.shape, (2, *size), strict=True)), tensor.name
        batch[tensor.name] = np.ones((2, *size), tensor.type)
    assert ("audio" in batch) == (which == "features_model") != ("waveform" in batch)
    assert "text" not in batch
    served = ServedModel()
    served.load_context(SimpleNamespace(artifacts={"model": str(folder)}))
    answer = served.predict(None, batch)
    assert answer.shape == (2, 4)
    np.testing.assert_allclose(answer.sum(1), 1, rtol=1e-5)


def test_the_best_export_of_a_finished_run_becomes_an_mlflow_model_that_answers(store: Path, saved_model: Path) -> None:
    import mlflow

    run = make_run(store, "model-1.5")
    run.exports.mkdir()
    shutil.copytree(saved_model, run.exports / "step_00000057")
    (run.exports / "best").symlink_to("step_00000057")
    run.append_segment(Segment(event="end", job_id="1", reason="finished", time=run.identity().created + 60))
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
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store_uri)
    try:
        served = mlflow.pyfunc.load_model(f"models:/{logged.model_id}")
    finally:
        mlflow.set_tracking_uri(before)
    assert served.metadata.metadata["labels"] == ["angry", "happy", "neutral", "sad"]
    assert {name: value.shape for name, value in served.input_example.items()} == {
        name: value.shape for name, value in input_example(read_config(saved_model)).items()
    }
    assert served.predict(served.input_example).shape == (1, 4)
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
