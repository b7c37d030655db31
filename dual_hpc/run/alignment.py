"""How alike sound and picture of a few validation samples are, step by step, as the training goes on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, field_validator

from dual_hpc.run import jsonl
from dual_hpc.run.names import ALIGNMENT

MOST_STEPS = 40  # of a matrix: of a longer sample every nth step of the time grid


class AlignmentMatrices(BaseModel):
    """A line of `alignment.jsonl`: the matrices of one sample after a step of the training.

    Attributes:
        key: the sample's.
        seconds: its length.
        matrices: name -> cosines of audio step i (row) and video step j, [T][T].
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    step: int
    epoch: float
    key: str
    seconds: float
    matrices: dict[str, list[list[float]]]

    @field_validator("matrices")
    @classmethod
    def _square(cls, value: dict[str, list[list[float]]]) -> dict[str, list[list[float]]]:
        for rows in value.values():
            if not rows or any(len(row) != len(rows) or not all(map(math.isfinite, row)) for row in rows):
                raise ValueError("not a square of numbers")
        return value


def append_alignment(run: Path, found: Sequence[AlignmentMatrices]) -> None:
    """Write them down.

    Raises:
        OSError: they cannot be written.
    """
    for one in found:
        jsonl.append(run / ALIGNMENT, one)


def read_alignment(run: Path) -> list[AlignmentMatrices]:
    """The matrices by step and key, of a step that was repeated the latest; none of a file that cannot be read."""
    try:
        found = {(one.step, one.key): one for one in jsonl.read(run / ALIGNMENT, AlignmentMatrices)}
    except OSError:  # nothing depends on them
        return []
    return [found[place] for place in sorted(found)]
