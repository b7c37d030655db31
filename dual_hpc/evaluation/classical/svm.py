"""A support vector machine whose one setting is chosen on the validation split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dual_hpc.evaluation.metrics import scores

COSTS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
Matrix = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class ChosenSvm:
    """A trained classifier.

    Attributes:
        pipeline: standardisation by the training split, and the SVM.
        cost: C, of `COSTS`.
        tried: C -> UA on the validation split.
    """

    pipeline: Any
    cost: float
    tried: dict[float, float]
    n_classes: int

    def probabilities(self, x: Matrix) -> NDArray[np.float32]:
        """[N, D] -> [N, C], the softmax of the one-against-rest decision values: an order, not calibrated.

        Classes that the training split lacks get 0.
        """
        values = np.atleast_2d(self.pipeline.decision_function(x))
        known = self.pipeline.classes_
        if len(known) == 2:
            one = np.asarray(self.pipeline.decision_function(x)).ravel()
            values = np.stack([-one, one], axis=1)
        shares = np.exp(values - values.max(axis=1, keepdims=True))
        found = np.zeros((len(x), self.n_classes), np.float32)
        found[:, known] = shares / shares.sum(axis=1, keepdims=True)
        return found


def choose_svm(
    train: tuple[Matrix, Labels], validation: tuple[Matrix, Labels], n_classes: int, costs: Sequence[float] = COSTS
) -> ChosenSvm:
    """Train an RBF SVM for each C, classes weighed by inverse frequency, and keep the best UA on the validation split.

    Of equal ones the smallest C is kept, which is the smoothest. Without validation utterances, C is 1.
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    tried: dict[float, float] = {}
    best: ChosenSvm | None = None
    for cost in costs if len(validation[1]) else (1.0,):
        svm = SVC(C=cost, class_weight="balanced", decision_function_shape="ovr", break_ties=False)
        pipeline = make_pipeline(StandardScaler(), svm).fit(*train)
        one = ChosenSvm(pipeline, cost, tried, n_classes)
        if len(validation[1]):
            answers = one.probabilities(validation[0]).argmax(axis=1)
            tried[cost] = scores(validation[1], answers.astype(np.int64), n_classes).values["ua"]
        if best is None or tried[cost] > tried[best.cost]:
            best = one
    assert best is not None
    return best
