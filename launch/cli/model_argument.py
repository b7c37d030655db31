"""`--model`: a trained model, by its folder, its run, or its address in MLflow."""

from __future__ import annotations

from pathlib import Path

from dual_hpc.errors import UserError
from dual_hpc.run import names

MEANS = "a saved model's folder, a run or a sweep's member (its export/best), or runs:/..., models:/... of MLflow"


def model_folder(said: str | Path) -> Path:
    """The folder of the model that is meant; of a run its best export, else its last.

    Raises:
        UserError: there is no such model, or the run has exported none yet.
        EnvironmentFault: MLflow, or what it refers to, is not there.
    """
    text = str(said)
    if text.startswith(("runs:/", "models:/")):
        return _of_mlflow(text)
    folder = Path(said)
    if (folder / names.EXPORTS).is_dir():
        return _export_of(folder)
    if folder.exists():
        return folder
    from launch.runs.plan import find_run

    try:
        run = find_run(text)
    except UserError as error:
        raise UserError(f"--model: {text} is not a folder, and {error}") from None
    return _export_of(run.path)


def _export_of(run: Path) -> Path:
    exports = run / names.EXPORTS
    for name in ("best", "last"):
        if (exports / name / "config.json").is_file():
            return exports / name
    raise UserError(f"--model: the run {run} has exported no model yet ({exports} has neither best nor last)")


def _of_mlflow(address: str) -> Path:
    from dual_hpc.config import load_config
    from dual_hpc.tracking.mlflow_lookup import check_address, saved_folder
    from dual_hpc.tracking.mlflow_store import store_of

    check_address(address)
    with store_of(load_config(None)).client() as client:
        return saved_folder(client, address)
