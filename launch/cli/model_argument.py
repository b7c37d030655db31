"""`--model DIR`: a folder that a trained model was saved in."""

from __future__ import annotations

from pathlib import Path

from dual_hpc.errors import UserError
from dual_hpc.run import names


def model_folder(path: str | Path) -> Path:
    """The folder, unless it is a run's, which has its models in export/.

    Raises:
        UserError: it is a run; the message names its models.
    """
    folder = Path(path)
    if (folder / names.EXPORTS).is_dir():
        there = " or ".join(str(folder / names.EXPORTS / name) for name in ("best", "last"))
        raise UserError(f"--model: {folder} is a run; give one of its models, {there}")
    return folder
