"""What MLflow runs to serve an exported model; `dual_hpc.tracking.mlflow_model` logs this file as code."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mlflow.exceptions import BAD_REQUEST, MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.inference.predictor import Predictor
from dual_hpc.inference.served_clips import answer_clips
from dual_hpc.inference.served_request import check_request
from dual_hpc.model import load_model
from dual_hpc.model.encoders.origin import KEY
from dual_hpc.model.encoders.pretrained import read_json
from dual_hpc.model.family import FAMILIES, recorded_plugins
from dual_hpc.model.with_encoders import with_encoders
from dual_hpc.model_manifest import check_files, weights_digest
from dual_hpc.plugins import load_plugins


class ServedModel(PythonModel):
    """A saved model as MLflow's `predict`.

    Rows of clips in, the answers of `dual-hpc predict` out (`served_clips.py`); or the tensors of `forward` in,
    probabilities float32 [B, C] out.
    """

    # The logged signature says what goes in; MLflow would ask for it again, as a type hint, at every import.
    _skip_type_hint_validation = True

    def load_context(self, context: Any) -> None:
        """Read the weights that the logged model names, after the plugins that were logged with it.

        Raises:
            EnvironmentFault: they are not there any more, or not as they were logged.
        """
        logged = context.model_config or {}
        folder = Path(logged["folder"])
        if not folder.is_dir():
            raise EnvironmentFault(
                f"model: {folder}, where the weights of this model lay, is not there: its run was moved or deleted, or "
                'has other weights now; where they were moved, load it with model_config={"folder": ...}'
            )
        check_files(folder)  # before its config.json says what is imported
        if "sha256" in logged and weights_digest(folder) != logged["sha256"]:
            raise EnvironmentFault(f"model: {folder} holds other weights than those that were logged")
        load_plugins(recorded_plugins(read_json(folder, "config.json", "model")))
        model, tokenizer = load_model(folder, verified=True)
        self.model, self.inputs = model, FAMILIES.get(model.config.model_type).inputs
        front: Any = model
        if model.config.reads_features:
            front = with_encoders(model, folder) if hasattr(model.config, KEY) else None
            tokenizer = getattr(front, "tokenizer", None)
        self.predictor = None if front is None else Predictor(front, tokenizer, torch.device("cpu"))

    # `model_input` has no annotation: MLflow would take one for a schema of its own, against the logged signature.
    def predict(self, context: Any, model_input, params: dict[str, Any] | None = None) -> Any:
        """Answers to clips; or probabilities of the classes, in the order of the model's `id2label`, of tensors.

        Raises:
            MlflowException: the request is not one that the model can read. MLflow's server answers any other exception
                with a trace, which shows where its files are.
        """
        try:
            return self._answer(model_input)
        except UserError as error:
            raise MlflowException(str(error), error_code=BAD_REQUEST) from None

    def _answer(self, model_input: Any) -> Any:
        if self.predictor is not None and (rows := _rows(model_input)) is not None:
            with tempfile.TemporaryDirectory(prefix="dual-hpc-") as scratch:
                return answer_clips(self.predictor, rows, Path(scratch))
        batch = {name: np.array(model_input[name]) for name in self.inputs if name in model_input}
        check_request(batch, self.model.config)
        tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
        for modality, pair in self.model.sources(tensors).items():
            if getattr(self.model, f"{modality}_encoder") is not None and any(tensor is None for tensor in pair):
                raise UserError(
                    f"{modality}: the model reads it, and its tensors are missing (0 rows long: no {modality})"
                )
        with torch.inference_mode():
            return self.model(**tensors).logits.float().softmax(-1).numpy()


def _rows(asked: Any) -> list[Mapping[str, Any]] | None:
    """The rows of a table or a list; None for named tensors."""
    if hasattr(asked, "to_dict") and not isinstance(asked, Mapping):
        return list(asked.to_dict("records"))
    if isinstance(asked, Mapping):
        return None if "durations" in asked else [asked]
    return [row if isinstance(row, Mapping) else {} for row in asked]


set_model(ServedModel())
