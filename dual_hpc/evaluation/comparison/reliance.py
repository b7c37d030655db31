"""Text reliance of one evaluation, with its interval, for its own report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dual_hpc.evaluation.comparison.counts import counts_of
from dual_hpc.evaluation.comparison.measures import LOST, RELIANCE, TURNED, Measure, measure_values
from dual_hpc.evaluation.comparison.sampling import Sampled, draw_dialogues, estimate

if TYPE_CHECKING:
    from dual_hpc.evaluation.prediction_set import PredictionSet


@dataclass(frozen=True)
class Reliance:
    """Text reliance and its two halves, see `dual_hpc.evaluation.text_reliance`; shares of one.

    Attributes:
        interval: the 95 % interval of `value` under a bootstrap of dialogues; of one dialogue the value alone.
    """

    value: float
    interval: tuple[float, float]
    lost: float
    turned: float

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"value": self.value, "interval": list(self.interval), "lost": self.lost, "turned": self.turned}


def reliance_of(predictions: PredictionSet) -> Reliance | None:
    """None where {A,V}, {A,V,T} or the answers to misleading text are missing."""
    counts = counts_of(predictions)
    weights = np.vstack([np.ones(len(counts.dialogues)), draw_dialogues({None: len(counts.dialogues)})[None]])
    values = measure_values(counts, weights, predictions.classes)
    if (drawn := values.get(Measure(RELIANCE, kind="text"))) is None:
        return None
    whole = estimate(Sampled([None], drawn[None, :1], drawn[None, 1:], len(counts.dialogues)))
    lost, turned = (float(values[Measure(name, kind="text")][0]) for name in (LOST, TURNED))
    interval = (whole.low, whole.high) if whole.known else (whole.value, whole.value)
    return Reliance(whole.value, interval, lost, turned)
