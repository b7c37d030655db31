"""The loss on distributions of votes."""

from __future__ import annotations

import pytest
import torch

from dual_hpc.model.losses.classification import classification_loss

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 0.0]])


def test_certain_votes_cost_what_the_label_costs() -> None:
    labels = torch.tensor([2, 0])
    hard = classification_loss(LOGITS, labels)
    soft = classification_loss(LOGITS, torch.nn.functional.one_hot(labels, 3).float())
    assert torch.allclose(hard, soft, atol=1e-6)


def test_answers_equal_to_the_votes_cost_nothing_and_rows_without_votes_nothing_either() -> None:
    shares = LOGITS.softmax(-1)
    assert torch.allclose(classification_loss(LOGITS, shares), torch.zeros(2), atol=1e-6)
    none = classification_loss(LOGITS.requires_grad_(), torch.zeros(2, 3))
    none.sum().backward()
    assert none.tolist() == [0, 0] and LOGITS.grad is not None and torch.isfinite(LOGITS.grad).all()


def test_a_sample_s_weight_is_what_its_votes_expect_of_the_classes() -> None:
    shares = torch.tensor([[1.0, 0, 0], [0, 0.5, 0.5]])
    plain = classification_loss(LOGITS, shares)
    weighted = classification_loss(LOGITS, shares, class_counts=[10, 20, 0], weighted=True)
    assert weighted.tolist() == pytest.approx((plain * torch.tensor([1.5, 0.375])).tolist(), rel=1e-5)


def test_the_loss_of_a_sample_does_not_know_its_batch() -> None:
    shares = torch.tensor([[0.2, 0.3, 0.5], [0.6, 0.4, 0.0]])
    alone = torch.cat([classification_loss(LOGITS[n : n + 1], shares[n : n + 1]) for n in range(2)])
    assert torch.equal(alone, classification_loss(LOGITS, shares))
