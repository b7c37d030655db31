"""The accuracy of the training's own answers between two lines of the journal."""

from __future__ import annotations

import math

import torch

from dual_hpc.training.interval import Interval
from dual_hpc.training.step import _hits

CPU = torch.device("cpu")


def test_answers_of_several_steps_are_one_share() -> None:
    interval = Interval(0.0, 0)
    assert math.isnan(interval.accuracy)
    interval.add(3, 4)
    interval.add(1, 4)
    assert interval.accuracy == 0.5


def test_only_labelled_samples_are_answers() -> None:
    logits = torch.tensor([[2.0, 1.0], [0.0, 1.0], [5.0, 1.0], [0.0, 1.0]])
    assert _hits(logits, torch.tensor([0, 0, -100, 1]), CPU).tolist() == [2.0, 3.0]


def test_a_model_without_logits_gives_no_answers() -> None:
    assert _hits(None, torch.tensor([0.5, -1.0]), CPU).tolist() == [0.0, 0.0]


def test_samples_that_nobody_labelled_are_no_answers() -> None:
    assert _hits(torch.zeros(2, 3), None, CPU).tolist() == [0.0, 0.0]
