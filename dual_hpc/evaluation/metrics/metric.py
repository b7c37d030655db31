"""What a metric is: its function, how it is shown, and in which direction it is better."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from dual_hpc.errors import UserError
from dual_hpc.registry import Registry

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Metric:
    """One number that sums up the answers to many utterances. One of the two functions is given.

    Attributes:
        title: heading of its column, such as "weighted F1".
        of_confusion: confusion matrices int64 [N, C, C], rows are the truth -> float64 [N]. Fast under the bootstrap.
        of_probabilities: class numbers int64 [N] and probabilities float32 [N, C] -> a number. Left out of rows that
            have answers only (the trivial baselines).
        short: heading where columns are narrow; empty: `title`.
        higher_is_better: the direction in which weights are chosen and the worst speaker is found.
        selects: whether `training.select_by` may name it.
        percent: a share of one, shown in percent; else shown as it is.
        validated: it has neither function, and no column: validation computes it.
        curves: whether the robustness suite tabulates and draws it by level; its JSON has every metric.
    """

    title: str
    of_confusion: Callable[[Array], Array] | None = None
    of_probabilities: Callable[[Array, Array], float] | None = None
    short: str = ""
    higher_is_better: bool = True
    selects: bool = True
    percent: bool = True
    curves: bool = True
    validated: bool = False

    def __post_init__(self) -> None:
        given = (self.of_confusion is not None) + (self.of_probabilities is not None)
        if given != (0 if self.validated else 1):
            raise ValueError(f"metric {self.title!r}: give one of of_confusion and of_probabilities")

    @property
    def heading(self) -> str:
        """For a narrow column."""
        return self.short or self.title

    @property
    def factor(self) -> float:
        """From a value to the number shown."""
        return 100.0 if self.percent else 1.0

    def format(self, value: float | None) -> str:
        """A value as tables show it; empty where there is none."""
        if value is None:
            return ""
        return f"{100 * value:.1f}" if self.percent else f"{value:.3f}"

    def oriented(self, value: float) -> float:
        """A number that is the larger, the better the value."""
        return value if self.higher_is_better else -value


METRICS: Registry[Metric] = Registry("metric", "training.select_by")
OF_DIMENSIONS: Mapping[str, Metric] = {"ccc": Metric("mean CCC", percent=False, validated=True)}
LOSS = "loss"
VALIDATED: Mapping[str, Metric] = {
    **OF_DIMENSIONS,
    LOSS: Metric("loss", percent=False, higher_is_better=False, validated=True),
}


def selecting_metric(name: str) -> Metric:
    """The metric that `training.select_by` names.

    Raises:
        UserError: there is none of this name, or it cannot select.
    """
    if name in VALIDATED:
        return VALIDATED[name]
    metric = METRICS.get(name)
    if not metric.selects:
        usable = ", ".join(other for other in METRICS if METRICS.get(other).selects)
        raise UserError(f"training.select_by: {name} cannot select the best weights; use one of {usable}")
    return metric
