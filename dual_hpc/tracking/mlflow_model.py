"""The exported model as an MLflow model: pyfunc from code and safetensors, nothing pickled.

Its input is the batch of the model's `forward`, tensor by tensor; its output the probabilities [B, C]. The model's
metadata hold the classes' names and the preprocessing (sample rate, image size, frames per second).
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dual_hpc.errors import UserError
from dual_hpc.files.json_text import parse_json
from dual_hpc.files.regular_file import open_regular, read_bytes
from dual_hpc.files.source_files import source_files
from dual_hpc.model_manifest import check_files
from dual_hpc.plugins import copy_sources, find_plugins

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

MODEL_TAG = "dual.model_sha256"
_PACKAGE = Path(__file__).resolve().parent.parent
_CODE = _PACKAGE / "inference" / "served_model.py"
_REQUIREMENTS = ("torch", "transformers", "safetensors", "numpy", "pydantic", "pyyaml")


def log_model(
    client: MlflowClient, uri: str, run_id: str, folder: Path, name: str, archive: Path | None = None
) -> None:
    """Log a saved model to a run; the same weights are logged once.

    Args:
        folder: config.json, model.safetensors and the tokenizer; called step_N by a run.
        name: under which MLflow shows it; it takes no dots.
        archive: the code archive of the run, for plugins that are not found elsewhere any more.

    Raises:
        EnvironmentFault: a file is not as it was saved.
    """
    check_files(folder)
    digest = _sha256(folder / "model.safetensors")
    if client.get_run(run_id).data.tags.get(MODEL_TAG) == digest:
        return
    import mlflow

    config = read_config(folder)
    before = mlflow.get_tracking_uri()
    try:
        mlflow.set_tracking_uri(uri)
        with (
            mlflow.start_run(run_id=run_id),
            tempfile.TemporaryDirectory(prefix="dual-hpc-") as code,
        ):
            plugins = config.get("plugins", [])
            find_plugins(plugins, archive)
            copy_package(Path(code))
            mlflow.pyfunc.log_model(
                name=name.replace(".", "_"),
                step=int(found[1]) if (found := re.fullmatch(r"step_(\d+)(\.\d+)?", folder.name)) else 0,
                python_model=str(_CODE),
                code_paths=list(map(str, copy_sources(plugins, Path(code)))),
                artifacts={"model": str(folder)},
                signature=signature(config),
                input_example=input_example(config),
                pip_requirements=requirements(),
                metadata={"labels": labels(config), "preprocessing": config.get("preprocessing", {})},
            )
    finally:
        mlflow.set_tracking_uri(before)
    client.set_tag(run_id, MODEL_TAG, digest)


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
    """Named tensors in, probabilities out; -1 is the size of batch, samples, frames and tokens."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    side = int(config.get("preprocessing", {}).get("image_size", -1))
    inputs: list[tuple[str, type[np.generic], tuple[int, ...]]] = [("durations", np.float32, (-1,))]
    if stored := _stored(config):
        for name, width in stored.items():
            inputs += [(name, np.float32, (-1, -1, width)), (f"{name}_lengths", np.int64, (-1,))]
    else:
        inputs += [
            ("waveform", np.float32, (-1, -1)),
            ("waveform_lengths", np.int64, (-1,)),
            ("frames", np.uint8, (-1, -1, 3, side, side)),
            ("frame_lengths", np.int64, (-1,)),
            ("input_ids", np.int64, (-1, -1)),
            ("attention_mask", np.int64, (-1, -1)),
        ]
    return ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(kind), shape, name) for name, kind, shape in inputs]),
        outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, len(labels(config))))]),
    )


def input_example(config: dict[str, Any]) -> dict[str, Any]:
    """The smallest batch of the signature: one utterance of one audio sample, one frame and one token."""
    import numpy as np

    tensors = signature(config).inputs.inputs
    return {one.name: np.ones([max(1, size) for size in one.shape], one.type) for one in tensors}


def _stored(config: dict[str, Any]) -> dict[str, int]:
    """Modality -> width of the features that the model reads; empty if it reads media."""
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


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
