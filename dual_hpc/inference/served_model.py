"""What MLflow runs to serve an exported model; `dual_hpc.tracking.mlflow_model` logs this file as code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from dual_hpc.inference.served_request import check_request
from dual_hpc.model import load_model
from dual_hpc.model.encoders.pretrained import read_json
from dual_hpc.model.family import FAMILIES, recorded_plugins
from dual_hpc.model_manifest import check_files
from dual_hpc.plugins import load_plugins


class ServedModel(PythonModel):
    """A saved model as MLflow's `predict`: the tensors of `forward` in, probabilities float32 [B, C] out."""

    # The logged signature says what goes in; MLflow would ask for it again, as a type hint, at every import.
    _skip_type_hint_validation = True

    def load_context(self, context: Any) -> None:
        """Read the safetensors of the logged model, after the plugins that were logged with it.

        Raises:
            EnvironmentFault: a file is not as it was logged.
        """
        folder = Path(context.artifacts["model"])
        check_files(folder)  # before its config.json says what is imported
        load_plugins(recorded_plugins(read_json(folder, "config.json", "model")))
        self.model, _ = load_model(folder, verified=True)
        self.inputs = FAMILIES.get(self.model.config.model_type).inputs

    # `model_input` has no annotation: MLflow would take one for a schema of its own, against the logged signature.
    def predict(self, context: Any, model_input, params: dict[str, Any] | None = None) -> Any:
        """Probabilities of the classes, in the order of the model's `id2label`.

        Raises:
            UserError: the batch is not one that the model can read.
        """
        batch = {name: np.array(model_input[name]) for name in self.inputs if name in model_input}
        check_request(batch, self.model.config)
        tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
        with torch.inference_mode():
            return self.model(**tensors).logits.float().softmax(-1).numpy()


set_model(ServedModel())
