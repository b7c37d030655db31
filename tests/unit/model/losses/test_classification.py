"""The classification loss, one value per sample."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from dual_hpc.model.losses.classification import class_weights, classification_loss
from dual_hpc.model.losses.logit_adjustment import log_priors

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0], [-1.0, 0.0, 1.0]])
LABELS = torch.tensor([0, 2, 1])
COUNTS = [10, 30, 60]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_torch_s(smoothing: float) -> None:
    ours = classification_loss(LOGITS, LABELS, label_smoothing=smoothing)
    theirs = functional.cross_entropy(LOGITS, LABELS, label_smoothing=smoothing, reduction="none")
    torch.testing.assert_close(ours, theirs)


@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=8).filter(lambda counts: sum(counts) > 0))
def test_class_weights_average_to_one_over_the_training_samples(counts: list[int]) -> None:
    weights = class_weights(counts)
    assert sum(w * n for w, n in zip(weights, counts, strict=True)) == pytest.approx(sum(counts))
    shares = [w * n for w, n in zip(weights, counts, strict=True) if n]
    assert max(shares) == pytest.approx(min(shares))


def test_class_weights_multiply_each_sample_s_loss() -> None:
    plain = classification_loss(LOGITS, LABELS)
    weighted = classification_loss(LOGITS, LABELS, class_counts=COUNTS, weighted=True)
    torch.testing.assert_close(weighted, plain * torch.tensor(class_weights(COUNTS))[LABELS])


def test_focal_loss_without_focus_is_cross_entropy_and_focus_spares_easy_samples() -> None:
    plain = classification_loss(LOGITS, LABELS)
    torch.testing.assert_close(classification_loss(LOGITS, LABELS, "focal", focal_gamma=0.0), plain)
    p = LOGITS.softmax(1).gather(1, LABELS[:, None])[:, 0]
    focal = classification_loss(LOGITS, LABELS, "focal", focal_gamma=2.0)
    torch.testing.assert_close(focal, (1 - p) ** 2 * plain)


def test_logit_adjustment_adds_the_log_priors_and_no_weights() -> None:
    ours = classification_loss(LOGITS, LABELS, "logit_adjustment", COUNTS, weighted=True)
    priors = torch.tensor([11 / 103, 31 / 103, 61 / 103]).log()
    torch.testing.assert_close(ours, functional.cross_entropy(LOGITS + priors, LABELS, reduction="none"))
    assert all(math.isfinite(value) for value in log_priors([0, 5]))


@settings(deadline=None)
@given(st.floats(-1e4, 1e4), st.sampled_from(["cross_entropy", "focal", "logit_adjustment"]), st.floats(0, 3))
def test_extreme_logits_give_finite_losses_and_gradients(value: float, kind: str, gamma: float) -> None:
    logits = torch.tensor([[value, 0.0, -value]], requires_grad=True)
    loss = classification_loss(logits, torch.tensor([0]), kind, COUNTS, True, gamma, 0.1)
    loss.sum().backward()
    assert loss.isfinite().all() and logits.grad is not None and logits.grad.isfinite().all()


def test_a_sample_without_label_costs_nothing_and_pulls_nothing() -> None:
    logits = LOGITS.clone().requires_grad_()
    loss = classification_loss(logits, torch.tensor([0, -100, 1]), "focal", COUNTS, True)
    loss.sum().backward()
    assert loss[1] == 0 and logits.grad is not None and not logits.grad[1].any()


def test_the_loss_of_bf16_logits_is_computed_in_fp32() -> None:
    assert classification_loss(LOGITS.bfloat16(), LABELS).dtype == torch.float32
