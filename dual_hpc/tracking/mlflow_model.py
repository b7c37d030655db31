"""The exported model as an MLflow model: pyfunc from code, with a reference to the safetensors; no pickle.

Models of media answer clips (`dual_hpc/inference/served_clips.py`), and so do models of features that say which
encoders made these; others of features the batch of `forward`, tensor by tensor. The model's metadata hold the classes'
names and the preprocessing (sample rate, image size, frames per second).
"""

from __future__ import annotations

import base64
import io
import re
import shutil
import tempfile
import wave
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dual_hpc.errors import UserError
from dual_hpc.files.json_text import parse_json
from dual_hpc.files.regular_file import read_bytes
from dual_hpc.files.source_files import source_files
from dual_hpc.model_manifest import check_files, weights_digest
from dual_hpc.plugins import copy_sources, find_plugins

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.models import ModelSignature

DIGEST_TAG, FOLDER_TAG = "dual.model_sha256", "dual.folder"
MODEL_TYPE = "emotion-recognition"
_PACKAGE = Path(__file__).resolve().parent.parent
_CODE = _PACKAGE / "inference" / "served_model.py"
_REQUIREMENTS = ("torch", "torchaudio", "transformers", "safetensors", "numpy", "pydantic", "pyyaml", "av", "soundfile")


def log_model(
    client: MlflowClient,
    run_id: str,
    folder: Path,
    name: str,
    *,
    tags: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    archive: Path | None = None,
) -> str:
    """Log a saved model to a run; the same weights of a step are logged once. Returns MLflow's id of the model.

    MLflow gets the code and the model's description. The weights stay where they are: the model names their folder.

    Args:
        folder: config.json, model.safetensors and the tokenizer; called step_N by a run.
        name: under which MLflow shows it; it takes no dots.
        tags, params: what MLflow shows of the model; the tags are brought up to date each time.
        archive: the code archive of the run, for plugins that are not found elsewhere any more.

    Raises:
        EnvironmentFault: a file is not as it was saved.
    """
    check_files(folder)
    digest = weights_digest(folder)
    step = step_of_export(folder)
    wanted = {**(tags or {}), DIGEST_TAG: digest, FOLDER_TAG: str(folder)}
    experiment = client.get_run(run_id).info.experiment_id
    for known in models_of(client, run_id, experiment, ready=False):
        if known.tags.get(DIGEST_TAG) != digest or known.params.get("step") != str(step):
            continue
        if str(known.status) == "READY":
            if changed := {key: value for key, value in wanted.items() if known.tags.get(key) != value}:
                client.set_logged_model_tags(known.model_id, changed)
            return str(known.model_id)
        client.delete_logged_model(known.model_id)  # a sync was killed while it made that
    made = client.create_logged_model(
        experiment,
        name.replace(".", "_"),
        source_run_id=run_id,
        tags=wanted,
        params={**(params or {}), "step": str(step)},
        model_type=MODEL_TYPE,
    )
    with tempfile.TemporaryDirectory(prefix="dual-hpc-") as temporary:
        saved = Path(temporary) / "model"
        save(folder, saved, run_id=run_id, model_id=str(made.model_id), archive=archive)
        client.log_model_artifacts(made.model_id, str(saved))
    from mlflow.entities import LoggedModelOutput

    client.log_outputs(run_id, [LoggedModelOutput(str(made.model_id), step)])
    client.finalize_logged_model(made.model_id, "READY")
    return str(made.model_id)


def save(folder: Path, out: Path, *, run_id: str | None, model_id: str | None, archive: Path | None = None) -> None:
    """Write an MLflow model that refers to the weights in `folder`."""
    from mlflow.models import Model
    from mlflow.pyfunc import save_model

    config = read_config(folder)
    plugins = config.get("plugins", [])
    find_plugins(plugins, archive)
    with tempfile.TemporaryDirectory(prefix="dual-hpc-") as code:
        copy_package(Path(code))
        save_model(
            out,
            python_model=str(_CODE),
            code_paths=list(map(str, copy_sources(plugins, Path(code)))),
            model_config={"folder": str(folder), "sha256": weights_digest(folder)},
            signature=signature(config),
            input_example=input_example(config),
            pip_requirements=requirements(),
            metadata={"labels": labels(config), "preprocessing": config.get("preprocessing", {})},
            mlflow_model=Model(run_id=run_id, model_id=model_id),
        )


def models_of(client: MlflowClient, run_id: str, experiment: str, *, ready: bool = True) -> list[LoggedModel]:
    """The models that were logged to a run."""
    found: list[LoggedModel] = list(
        client.search_logged_models([experiment], filter_string=f"source_run_id = '{run_id}'", max_results=50)
    )
    return [one for one in found if not ready or str(one.status) == "READY"]


def step_of_export(folder: Path) -> int:
    """The optimiser step in the name of an exported folder; 0 of any other name."""
    return int(found[1]) if (found := re.fullmatch(r"step_(\d+)(\.\d+)?", folder.name)) else 0


def copy_package(folder: Path) -> None:
    """Write the source files of this package below `folder`: hidden files, keys and what git ignores stay behind."""
    for name in source_files(_PACKAGE.parent, [_PACKAGE.name]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_PACKAGE.parent / name, folder / name)


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json` of a saved model.

    Raises:
        UserError: there is none, or it belongs to another model.
    """
    try:
        config = parse_json(read_bytes(folder / "config.json"))
        if isinstance(config["model_type"], str) and config["preprocessing"] and labels(config):
            return dict(config)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    raise UserError(f"{folder} is not a saved model (its config.json needs model_type, id2label and preprocessing)")


def labels(config: dict[str, Any]) -> list[str]:
    """Class names in order."""
    return [name for _, name in sorted(config["id2label"].items(), key=lambda item: int(item[0]))]


def signature(config: dict[str, Any]) -> ModelSignature:
    """What goes in: a row for each clip, or, for a model of features, named tensors (-1: rows, steps)."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec
    from mlflow.types.schema import Array, Map

    stored = _stored(config)
    if not stored:
        columns = {"clip": DataType.string, "path": DataType.string, "text": DataType.string}
        columns |= {"start": DataType.double, "end": DataType.double, "side": DataType.string}
        answer: dict[str, Any] = {
            "label": DataType.string,
            "probabilities": Map(DataType.double),
            "modalities": Array(DataType.string),
        }
        answer |= {"duration": DataType.double, "warnings": Array(DataType.string)}
        return ModelSignature(
            inputs=Schema([ColSpec(kind, name, required=False) for name, kind in columns.items()]),
            outputs=Schema([ColSpec(kind, name) for name, kind in answer.items()]),
        )
    inputs: list[tuple[str, type[np.generic], tuple[int, ...]]] = [("durations", np.float32, (-1,))]
    for name, width in stored.items():
        inputs += [(name, np.float32, (-1, -1, width)), (f"{name}_lengths", np.int64, (-1,))]
    return ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(kind), shape, name) for name, kind, shape in inputs]),
        outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, len(labels(config))))]),
    )


def input_example(config: dict[str, Any]) -> Any:
    """The smallest request: a tenth of a second of silence with a word, or a batch of ones with one step each."""
    import numpy as np

    if not _stored(config):
        import pandas

        return pandas.DataFrame([{"clip": base64.b64encode(_silence(0.1)).decode(), "text": "yes"}])
    tensors = signature(config).inputs.inputs
    return {one.name: np.ones([max(1, size) for size in one.shape], one.type) for one in tensors}


def _silence(seconds: float) -> bytes:
    """A WAV file: mono, 16 bits, 16 kHz."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 16_000, 0, "NONE", ""))
        sound.writeframes(bytes(2 * int(16_000 * seconds)))
    return file.getvalue()


def _stored(config: dict[str, Any]) -> dict[str, int]:
    """Modality -> width of the features that are asked for; empty if media are, for which it may have encoders."""
    if config.get("feature_encoders"):
        return {}
    used = [name for name in ("audio", "video", "text") if config.get(f"use_{name}", True)]
    return {name: config[name]["config"]["width"] for name in used if config[name]["kind"] == "features"}


def requirements() -> list[str]:
    """What the logged model needs, pinned to what it was made with (local build tags like +cpu left out)."""
    pinned = []
    for name in _REQUIREMENTS:
        try:
            pinned.append(f"{name}=={version(name).split('+')[0]}")
        except PackageNotFoundError:
            continue
    return pinned
