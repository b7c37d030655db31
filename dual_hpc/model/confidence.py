"""`confidence.json` of an exported model: how sure it may be of an answer, measured on its validation split.

Probabilities stay as the model gives them. Confidence is the largest of them after temperature scaling,
softmax(log p / T): T was fitted where the answers were known, and `risks` says how many were wrong above a confidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dual_hpc.errors import UserError
from dual_hpc.files.atomic import write_atomically
from dual_hpc.files.regular_file import read_bytes

FILE = "confidence.json"


class Confidence(BaseModel):
    """What the file says.

    Attributes:
        temperature: T; above 1 the model was surer than it was right.
        thresholds, risks: from the surest down, a confidence, and the share of wrong answers among those at least as
            sure.
        count: utterances that it was measured on.
        subset: letters of the modalities that they showed.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    temperature: float = Field(gt=0)
    thresholds: list[float] = []
    risks: list[float] = []
    count: int = 0
    subset: str = ""

    def of(self, probabilities: Sequence[float]) -> float:
        """How sure an answer with these probabilities is, 0 to 1."""
        return float(scaled(np.array([probabilities]), self.temperature).max())

    def least(self, risk: float) -> float:
        """The least confidence of answers of which at most this share was wrong; above 1 where there is none."""
        fine = [one for one, measured in zip(self.thresholds, self.risks, strict=True) if measured <= risk]
        return min(fine, default=float("inf"))


def scaled(probabilities: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """softmax(log p / T) of each row [N, C]."""
    logits = np.log(np.maximum(probabilities.astype(np.float64), 1e-30)) / temperature
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def write_confidence(found: Confidence, folder: Path) -> None:
    """Put it beside a saved model.

    Raises:
        OSError: it cannot be written.
    """
    write_atomically(folder / FILE, found.model_dump_json(indent=1) + "\n")


def read_confidence(folder: Path) -> Confidence | None:
    """What was measured of a saved model; None where nothing was.

    Raises:
        UserError: the file is damaged.
    """
    try:
        return Confidence.model_validate_json(read_bytes(folder / FILE))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise UserError(f"model: {folder / FILE} is damaged; export the model again") from error
