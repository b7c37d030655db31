"""Answers of a model over an evaluation loader, for subsets of modalities, on any number of ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from dual_hpc.evaluation.metrics import Scores, scores
from dual_hpc.model.inputs import INPUTS

T = TypeVar("T")
Gather = Callable[[T], list[T]]
Batch = dict[str, Any]
View = Callable[[Batch], Batch]
Part = tuple[list[str], list[npt.NDArray[np.int64]], list[npt.NDArray[np.float32]], list[npt.NDArray[np.float32]]]
Joined = tuple[list[str], npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Predictions:
    """Answers in the order of their keys, whatever ranks and batches gave them.

    Attributes:
        keys: the utterances.
        truth: int64 [N] class numbers.
        probabilities: float32 [N, C].
        dimensions: float32 [N, D], valence and the like; None of a model without them.
    """

    keys: list[str]
    truth: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]
    dimensions: npt.NDArray[np.float32] | None = None

    @property
    def answers(self) -> npt.NDArray[np.int64]:
        """int64 [N], the most probable class."""
        return self.probabilities.argmax(axis=1).astype(np.int64)

    def log_loss(self) -> float:
        """Mean negative log likelihood of the true classes, in nats; NaN without answers."""
        if not len(self.truth):
            return float("nan")
        chosen = self.probabilities[np.arange(len(self.truth)), self.truth].astype(np.float64)
        return float(-np.log(np.maximum(chosen, np.finfo(np.float32).tiny)).mean())

    def scores(self, n_classes: int, chosen: npt.NDArray[np.bool_] | None = None) -> Scores:
        """Every registered metric of these answers, or of the `chosen` ones (bool [N])."""
        rows = slice(None) if chosen is None else chosen
        return scores(self.truth[rows], self.answers[rows], n_classes, self.probabilities[rows])


def predict_views(
    model: torch.nn.Module,
    loader: Iterable[Mapping[str, Any]],
    views: Mapping[str, View],
    device: torch.device | str = "cpu",
    gather: Gather[Any] | None = None,
    inputs: Sequence[str] = INPUTS,
) -> dict[str, Predictions]:
    """The model's probabilities for each view of the same batches, which are read once.

    Args:
        loader: batches with `labels`, `keys` and `valid`; fillers (not valid) are computed, because all ranks must do
            equal steps, and dropped.
        views: name -> what the model is shown of a batch: the batch, changed.
        inputs: names of the tensors that the model reads.
        gather: collective that gives every rank all ranks' values; without it the answers are this rank's.
    """
    found: dict[str, Part] = {name: ([], [], [], []) for name in views}
    with predicting(model):
        for batch in loader:
            predict_batch(model, batch, views, found, device, inputs)
    return {name: _gathered(part, gather) for name, part in found.items()}


@contextmanager
def predicting(model: torch.nn.Module) -> Iterator[None]:
    """The model as it is evaluated within the block, and in the mode it was in afterwards."""
    was_training = model.training
    model.eval()
    try:
        # Not inference_mode: DeepSpeed's ZeRO-3 hooks write to the parameters that they gather.
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


def predict_batch(
    model: torch.nn.Module,
    batch: Mapping[str, Any],
    views: Mapping[str, View],
    found: dict[str, Part],
    device: torch.device | str = "cpu",
    inputs: Sequence[str] = INPUTS,
) -> None:
    """Add the model's answers to each view of one batch to `found`; arguments as for `predict_views`."""
    for name, view in views.items():
        seen = view(dict(batch))
        output = model(**{key: seen[key].to(device) for key in inputs if key in seen})
        valid = seen["valid"].cpu().numpy().astype(bool)
        keys, truth, probabilities, dimensions = found[name]
        keys += [key for key, good in zip(seen["keys"], valid, strict=True) if good]
        truth.append(seen["labels"].cpu().numpy()[valid])
        probabilities.append(output.logits.float().softmax(-1).cpu().numpy()[valid])
        if (values := getattr(output, "dimensions", None)) is not None:
            dimensions.append(values.float().cpu().numpy()[valid])


def shortest_decimals(row: npt.NDArray[np.float32]) -> list[float]:
    """float32 [C] as the numbers with the fewest digits that are the same float32, for JSON."""
    return [float(str(value)) for value in row.astype(np.float32)]


def _gathered(part: Part, gather: Gather[Any] | None) -> Predictions:
    """All ranks' answers, by key."""
    mine = (part[0], _joined(part[1]), _joined(part[2]), _joined(part[3]))
    return in_order([one for one in ([mine] if gather is None else gather(mine)) if one[0]])


def in_order(parts: Sequence[Joined]) -> Predictions:
    """Answers of several ranks or batches, none of them empty, by key."""
    keys = [key for one in parts for key in one[0]]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    dimensions = _joined([one[3] for one in parts if len(one[3])])
    return Predictions(
        keys=[keys[n] for n in order],
        truth=_joined([one[1] for one in parts])[order].astype(np.int64),
        probabilities=_joined([one[2] for one in parts])[order],
        dimensions=dimensions[order] if len(dimensions) else None,
    )


def _joined(arrays: list[Any]) -> Any:
    return np.concatenate(arrays) if arrays else np.zeros((0, 1), np.float32)
