"""The folder of a saved model that MLflow knows by an address: runs:/RUN, models:/NAME/VERSION, models:/NAME@ALIAS."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dual_hpc.errors import EnvironmentFault, UserError, one_line
from dual_hpc.model_manifest import weights_digest
from dual_hpc.tracking.mlflow_exports import EXPORT_TAG
from dual_hpc.tracking.mlflow_model import DIGEST_TAG, FOLDER_TAG, models_of
from dual_hpc.tracking.mlflow_registry import MODEL_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient

_MODEL = re.compile(r"models:/(?:(?P<id>m-[0-9a-f]+)|(?P<name>[^/@]+)(?:/(?P<version>\d+)|@(?P<alias>[^/@]+)))/?")
_RUN = re.compile(r"runs:/(?P<run>[0-9a-zA-Z]+)(?:/(?P<export>best|last))?/?")


def check_address(address: str) -> None:
    """Refuse what no model of MLflow is called, before MLflow is loaded.

    Raises:
        UserError: says what an address looks like.
    """
    if not (_RUN.fullmatch(address) or _MODEL.fullmatch(address)):
        raise UserError(
            f"--model: {address} is not a valid address; write runs:/RUN, models:/NAME/VERSION or models:/NAME@ALIAS"
        )


def saved_folder(client: MlflowClient, address: str) -> Path:
    """Where the weights are that a model of MLflow refers to.

    Args:
        address: of a run its best export, or `runs:/RUN/last`.

    Raises:
        UserError: it is no such address, or MLflow knows none of it.
        EnvironmentFault: the weights are not there any more, or are others.
    """
    check_address(address)
    from mlflow.exceptions import MlflowException

    try:
        tags = _tags(client, address)
    except MlflowException as error:
        raise UserError(f"--model: {address}: {one_line(error, 200)}") from error
    folder = Path(tags.get(FOLDER_TAG, ""))
    if FOLDER_TAG not in tags or not folder.is_dir():
        raise EnvironmentFault(f"--model: {address}: {folder or 'its folder'}, where its weights lay, is not there")
    if tags.get(DIGEST_TAG) not in (None, weights_digest(folder)):
        raise EnvironmentFault(f"--model: {address}: {folder} holds other weights now than those that were logged")
    return folder


def _tags(client: MlflowClient, address: str) -> dict[str, str]:
    if found := _RUN.fullmatch(address):
        run, export = found["run"], found["export"] or "best"
        experiment = client.get_run(run).info.experiment_id
        logged = [one for one in models_of(client, run, experiment) if export in _exports(one)]
        if not logged:
            raise UserError(f"--model: {address}: MLflow has no model of this run's export {export}")
        return dict(logged[0].tags)
    found = _MODEL.fullmatch(address)
    assert found is not None, "checked before"
    model = found["id"]
    if model is None:
        name = found["name"]
        by_alias = found["version"] is None
        version: Any = (
            client.get_model_version_by_alias(name, found["alias"])
            if by_alias
            else client.get_model_version(name, found["version"])
        )
        model = version.tags.get(MODEL_TAG) or version.model_id
        if not model:
            raise UserError(f"--model: {address}: it was not registered by dual-hpc")
    return dict(client.get_logged_model(model).tags)


def _exports(logged: Any) -> list[str]:
    return str(logged.tags.get(EXPORT_TAG, "")).split(",")
