"""How far confidence says which answers are right: calibration error, and errors where the least sure abstain."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from dual_hpc.evaluation.predictions import Predictions
from dual_hpc.evaluation.reliability import reliability

COVERAGES = (0.5, 0.8)  # shares of the utterances that are answered, the surest first


@dataclass(frozen=True)
class Calibration:
    """All of one set of answers.

    Attributes:
        ece: expected calibration error, ten bins of equal width.
        aurc: area under the risk-coverage curve: the share of wrong answers among those that are answered, averaged
            over all coverages; lower is better.
        risk: coverage -> share of wrong answers among so many of the surest.
    """

    ece: float
    aurc: float
    risk: dict[str, float]

    def to_json(self) -> dict[str, object]:
        """Plain data."""
        return asdict(self)


def calibration(found: Predictions) -> Calibration:
    """Of answers, at least one; equal confidence shares its errors, so that the order of the keys decides nothing."""
    confidence = found.probabilities.max(axis=1).astype(np.float64)
    order = np.argsort(-confidence, kind="stable")
    wrong = (found.answers != found.truth)[order].astype(np.float64)
    _, place = np.unique(-confidence[order], return_inverse=True)
    shared = (np.bincount(place, wrong) / np.bincount(place))[place]
    risk = np.cumsum(shared) / np.arange(1, len(shared) + 1)
    at = {f"{coverage:g}": float(risk[max(1, round(coverage * len(risk))) - 1]) for coverage in COVERAGES}
    return Calibration(reliability(found).error, float(risk.mean()), at)
