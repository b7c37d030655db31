"""The model's side of the alignment losses."""

from __future__ import annotations

import torch

from dual_hpc.model.dual.alignment_loss import AlignmentLoss, centre, similarity


def test_matched_sequences_cost_less_than_shuffled_ones() -> None:
    x = torch.randn(1, 6, 8)
    loss = AlignmentLoss(0.1, learn=False, across_batch=False, implementation="auto")
    lengths = torch.tensor([6])
    assert loss(x, x, lengths) < 0.1 < loss(x, x.flip(1), lengths)


def test_a_still_step_has_no_gradient_and_does_not_blow_up_the_others() -> None:
    loss = AlignmentLoss(0.1, learn=False, across_batch=False, implementation="auto")
    audio, video = torch.randn(1, 4, 8), torch.randn(1, 4, 8)
    video[0, 1] = 0
    video[0, 2] = 1e-7
    audio.requires_grad_(), video.requires_grad_()
    loss(audio, video, torch.tensor([4])).sum().backward()
    assert audio.grad is not None and video.grad is not None
    assert not video.grad[0, 1:3].any()
    assert max(audio.grad.abs().max(), video.grad.abs().max()) < 100


def test_a_learned_temperature_starts_where_it_should_and_moves() -> None:
    audio, video, lengths = torch.randn(2, 5, 8), torch.randn(2, 5, 8), torch.tensor([5, 3])
    learned = AlignmentLoss(0.2, learn=True, across_batch=False, implementation="auto")
    fixed = AlignmentLoss(0.2, learn=False, across_batch=False, implementation="auto")
    value = learned(audio, video, lengths)
    torch.testing.assert_close(value, fixed(audio, video, lengths))
    value.sum().backward()
    assert learned.log_temperature is not None and learned.log_temperature.grad is not None
    assert learned.log_temperature.grad.abs() > 0


def test_similarities_are_cosines_of_valid_steps() -> None:
    x = torch.randn(2, 4, 8)
    matrix = similarity(x, x, torch.tensor([4, 2]))
    torch.testing.assert_close(matrix[0].diagonal(), torch.ones(4))
    assert matrix.abs().max() <= 1 + 1e-6
    assert not matrix[1, 2:].any() and not matrix[1, :, 2:].any()


def test_what_is_the_same_at_every_step_is_not_seen_once_the_mean_is_taken_off() -> None:
    """Who speaks is most of a feature: without centring every cosine is near 1, and matched steps are hardly found."""
    moving, speaker, lengths = torch.randn(2, 6, 8), 10 * torch.randn(2, 1, 8), torch.tensor([6, 4])
    plain = AlignmentLoss(0.1, learn=False, across_batch=False, implementation="auto")
    centred = AlignmentLoss(0.1, learn=False, across_batch=False, implementation="auto", centred=True)
    assert plain(moving + speaker, moving + speaker, lengths).min() > 0.8
    assert centred(moving + speaker, moving + speaker, lengths).max() < 0.1
    torch.testing.assert_close(
        centred(moving + speaker, moving - speaker, lengths), centred(moving, moving, lengths), atol=1e-4, rtol=1e-3
    )


def test_centring_takes_no_part_of_padding_and_leaves_none() -> None:
    x, lengths = torch.randn(3, 5, 4), torch.tensor([5, 2, 0])
    dirty = x.clone()
    dirty[1, 2:], dirty[2] = float("nan"), float("nan")
    found = centre(dirty, lengths)
    torch.testing.assert_close(found[1, :2], x[1, :2] - x[1, :2].mean(0))
    assert not found[1, 2:].any() and not found[2].any()
