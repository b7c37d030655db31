"""Confidence: calibration error and the risk among the surest answers."""

from __future__ import annotations

import numpy as np
import pytest

from dual_hpc.evaluation.calibration import calibration
from dual_hpc.evaluation.predictions import Predictions


def answers(confidence: list[float], right: list[bool]) -> Predictions:
    rows = [[share, 1 - share] for share in confidence]
    truth = np.array([0 if good else 1 for good in right])
    return Predictions([f"u{n}" for n in range(len(rows))], truth, np.array(rows, np.float32))


def test_errors_that_come_last_make_the_smallest_area() -> None:
    best = calibration(answers([0.9, 0.8, 0.7, 0.6], [True, True, True, False]))
    worst = calibration(answers([0.9, 0.8, 0.7, 0.6], [False, True, True, True]))
    assert best.aurc == pytest.approx(1 / 16) and worst.aurc == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    assert best.risk == {"0.5": 0.0, "0.8": 0.0} and worst.risk["0.5"] == 0.5


def test_equal_confidence_shares_its_errors_in_any_order() -> None:
    one, other = answers([0.75] * 4, [True, False, True, True]), answers([0.75] * 4, [True, True, True, False])
    assert calibration(one) == calibration(other) and calibration(one).risk["0.5"] == 0.25
    assert calibration(one).ece == pytest.approx(0.0)
