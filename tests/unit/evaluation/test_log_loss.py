"""The validation loss: the mean negative log likelihood of the true classes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.evaluation.predictions import Predictions


@given(st.integers(1, 40), st.integers(2, 6), st.integers(0, 9))
def test_it_is_torch_s_cross_entropy(count: int, classes: int, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(count, classes, generator=draw)
    truth = torch.randint(classes, (count,), generator=draw)
    found = Predictions([str(n) for n in range(count)], truth.numpy(), logits.softmax(-1).numpy())
    assert found.log_loss() == pytest.approx(
        float(torch.nn.functional.cross_entropy(logits, truth)), rel=1e-4, abs=1e-6
    )


def test_a_wrong_answer_that_was_certain_costs_much_and_not_infinitely() -> None:
    certain = Predictions(["u"], np.array([1]), np.array([[1.0, 0.0]], np.float32))
    assert 80 < certain.log_loss() < 100
    assert math.isnan(Predictions([], np.zeros(0, np.int64), np.zeros((0, 2), np.float32)).log_loss())
