"""Answers of a model over an evaluation loader, for one subset of modalities, on any number of ranks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from dual_hpc.data.modalities import keep
from dual_hpc.model.inputs import INPUTS

T = TypeVar("T")
Gather = Callable[[T], list[T]]


@dataclass(frozen=True)
class Predictions:
    """Answers in the order of their keys, whatever ranks and batches gave them.

    Attributes:
        keys: the utterances.
        truth: int64 [N] class numbers.
        probabilities: float32 [N, C].
    """

    keys: list[str]
    truth: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]

    @property
    def answers(self) -> npt.NDArray[np.int64]:
        """int64 [N], the most probable class."""
        return self.probabilities.argmax(axis=1).astype(np.int64)


def predict_split(
    model: torch.nn.Module,
    loader: Iterable[Mapping[str, Any]],
    modalities: Collection[str],
    device: torch.device | str = "cpu",
    gather: Gather[Any] | None = None,
) -> Predictions:
    """The model's probabilities with only `modalities` left in each batch.

    Args:
        loader: batches with `labels`, `keys` and `valid`; fillers (not valid) are computed, because all ranks must do
            equal steps, and dropped.
        modalities: of "a", "v", "t"; the others are blanked.
        gather: collective that gives every rank all ranks' values; without it the answers are this rank's.
    """
    was_training = model.training
    model.eval()
    keys: list[str] = []
    truth: list[npt.NDArray[np.int64]] = []
    probabilities: list[npt.NDArray[np.float32]] = []
    try:
        # Not inference_mode: DeepSpeed's ZeRO-3 hooks write to the parameters that they gather.
        with torch.no_grad():
            for batch in loader:
                kept = keep(dict(batch), modalities)
                output = model(**{name: kept[name].to(device) for name in INPUTS if name in kept})
                valid = batch["valid"].cpu().numpy().astype(bool)
                keys += [key for key, good in zip(batch["keys"], valid, strict=True) if good]
                truth.append(batch["labels"].cpu().numpy()[valid])
                probabilities.append(output.logits.float().softmax(-1).cpu().numpy()[valid])
    finally:
        model.train(was_training)
    mine = (keys, _joined(truth), _joined(probabilities))
    parts = [part for part in ([mine] if gather is None else gather(mine)) if part[0]]
    keys = [key for part in parts for key in part[0]]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return Predictions(
        keys=[keys[n] for n in order],
        truth=_joined([part[1] for part in parts])[order].astype(np.int64),
        probabilities=_joined([part[2] for part in parts])[order],
    )


def _joined(arrays: list[Any]) -> Any:
    return np.concatenate(arrays) if arrays else np.zeros((0, 1), np.float32)
