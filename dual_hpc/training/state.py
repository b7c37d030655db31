"""The training state: what a checkpoint holds besides weights and optimizer state, as plain data in its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

# Written by earlier versions, read by nobody.
_RETIRED = ("best_step",)


class TrainingState(BaseModel):
    """How far a training has come. With the engine's state this is all: the random state is derived from the step.

    Two fields have other names in the manifest: `owes_validation` and `sick`. They were written by earlier versions,
    whose runs must go on.

    Attributes:
        step: optimizer steps done, skipped ones included.
        loader: state of the training loader (samples consumed, and what must match); None before the first step.
        bad_samples: state of the loader's list of samples that cannot be decoded, as known to all ranks.
        best_score: best `training.select_by` on the validation split so far; None before the first validation.
        score: of the weights of this very step; None if they were not validated.
        validation_pending: the validation of this step is still to be done (the job was stopped before its end).
        skipped: number of skipped updates (non-finite loss or gradient, fp16 overflow).
        non_finite_steps: the last consecutive steps whose loss or gradient was not finite, with the keys of the samples
            that may be the cause.
        rolled_back: the step whose weights were restored after non-finite steps; None if that was not necessary so far.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    step: int = 0
    loader: dict[str, Any] | None = None
    bad_samples: list[dict[str, Any]] = []
    best_score: float | None = None
    score: float | None = None
    validation_pending: bool = Field(False, alias="owes_validation")
    skipped: int = 0
    non_finite_steps: dict[int, list[str]] = Field({}, alias="sick")
    rolled_back: int | None = None

    def to_manifest(self) -> dict[str, Any]:
        """Plain data for a manifest."""
        return self.model_dump(mode="json", by_alias=True)

    @classmethod
    def from_manifest(cls, data: Mapping[str, Any]) -> TrainingState:
        """The state in a manifest, of this version or an earlier one.

        Raises:
            pydantic.ValidationError: it was written by another version.
        """
        return cls.model_validate({key: value for key, value in data.items() if key not in _RETIRED})
