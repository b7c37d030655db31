"""Confidence after temperature scaling, and what is called unsure at a chosen risk."""

from __future__ import annotations

import numpy as np
import pytest

from dual_hpc.evaluation.predictions import Predictions
from dual_hpc.evaluation.reliability import reliability
from dual_hpc.evaluation.temperature import fit_temperature, measure_confidence
from dual_hpc.model.confidence import scaled


def drawn(temperature: float, count: int = 4000, seed: int = 0) -> Predictions:
    """Answers of a model that would be as sure as it is right at this temperature."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(count, 4)) * 1.5
    right = scaled(np.exp(logits), 1.0)
    truth = np.array([random.choice(4, p=row) for row in right])
    shown = scaled(np.exp(logits), 1 / temperature).astype(np.float32)
    return Predictions([str(n) for n in range(count)], truth, shown)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_was_there_is_found_and_makes_confidence_right(temperature: float) -> None:
    found = drawn(temperature)
    fitted = fit_temperature(found)
    assert fitted == pytest.approx(temperature, rel=0.1)
    mended = Predictions(found.keys, found.truth, scaled(found.probabilities, fitted).astype(np.float32))
    assert reliability(mended).error < 0.03
    assert np.array_equal(mended.answers, found.answers)  # no answer changes
    assert temperature == 1.0 or reliability(found).error > 0.1


@pytest.mark.parametrize("seed", [0, 1])
def test_of_answers_above_the_least_confidence_no_more_are_wrong_than_was_asked(seed: int) -> None:
    found = drawn(2.0, seed=seed)
    measured = measure_confidence(found, "av")
    sure = np.array([measured.of(list(row)) for row in found.probabilities])
    for risk in (0.05, 0.2, 0.4):
        kept = sure >= measured.least(risk) - 1e-12
        assert kept.any() and (found.answers != found.truth)[kept].mean() <= risk + 1e-9
    assert measured.least(-0.1) > 1


@pytest.mark.parametrize("right", [True, False])
def test_answers_that_are_all_right_or_all_wrong_give_a_number(right: bool) -> None:
    probabilities = np.array([[0.8, 0.2], [0.6, 0.4], [0.6, 0.4]], np.float32)
    found = Predictions(["a", "b", "c"], np.zeros(3, np.int64) if right else np.ones(3, np.int64), probabilities)
    measured = measure_confidence(found, "a")
    assert 0.05 <= measured.temperature <= 20.001 and measured.risks[-1] == (0 if right else 1)
    assert len(measured.thresholds) == 2  # equal confidence is one point
