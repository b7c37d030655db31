"""What covers a picture stays where it is and grows; blur keeps the mean and moves nothing; padding stays blank."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.evaluation.perturbations.occlusion import blur, occlude

LENGTHS = st.lists(st.integers(0, 3), min_size=1, max_size=3)


def batch_of(lengths: list[int], side: int = 16) -> dict[str, object]:
    torch.manual_seed(0)
    width = max(1, *lengths)
    inside = torch.arange(width) < torch.tensor(lengths)[:, None]
    frames = torch.randint(150, 250, (len(lengths), width, 3, side, side)) * inside[:, :, None, None, None]
    keys = [f"u{n}" for n in range(len(lengths))]
    return {"frames": frames.to(torch.uint8), "frame_lengths": torch.tensor(lengths), "keys": keys}


@given(LENGTHS, st.floats(0, 1), st.integers(0, 9))
def test_what_is_covered_at_one_share_is_covered_at_every_larger_one(lengths, share, seed):
    batch = batch_of(lengths)
    small, large = (occlude(batch, min(1.0, part), seed)["frames"] for part in (share, share + 0.2))
    hidden, more = small != batch["frames"], large != batch["frames"]
    assert (hidden <= more).all() and (small[hidden] == 128).all()
    for row, length in enumerate(lengths):
        assert not hidden[row, length:].any()
        if length:
            assert (hidden[row, :length] == hidden[row, 0]).all(), "it does not move"
            assert abs(hidden[row, 0].float().mean().item() - share) < 0.13  # rounded to points of 16 x 16
    assert torch.equal(occlude(batch, 0, seed)["frames"], batch["frames"])


@given(LENGTHS, st.sampled_from([0.0, 0.05, 0.2, 0.5]))
def test_blur_takes_detail_away_and_nothing_else(lengths, spread):
    batch = batch_of(lengths)
    soft = blur(batch, spread)["frames"]
    assert soft.dtype == torch.uint8
    for row, length in enumerate(lengths):
        assert not soft[row, length:].any()
        if length:
            whole, blurred = batch["frames"][row, :length].float(), soft[row, :length].float()
            assert abs(blurred.mean() - whole.mean()) < 3
            assert blurred.std() < whole.std() or spread <= 0.05
    if spread == 0:
        assert torch.equal(soft, batch["frames"])


def test_blur_moves_no_edge():
    frames = torch.zeros(1, 1, 3, 20, 20, dtype=torch.uint8)
    frames[..., 10:] = 200
    soft = blur({"frames": frames, "frame_lengths": torch.tensor([1]), "keys": ["u"]}, 0.2)["frames"][0, 0, 0, 10]
    assert (soft.int() + soft.flip(0).int() - 200).abs().max() <= 1  # symmetric about the edge
