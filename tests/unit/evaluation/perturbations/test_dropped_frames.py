"""A lost picture is the one before it; the first and the padding stay."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.evaluation.perturbations.dropped_frames import drop_frames


@given(st.lists(st.integers(0, 9), min_size=1, max_size=4), st.floats(0, 1), st.integers(0, 9))
def test_what_is_shown_came_before_and_more_is_lost_at_a_higher_rate(lengths, rate, seed):
    width = max(1, *lengths)
    number = torch.arange(1, width + 1)[None, :, None, None, None].expand(len(lengths), width, 3, 2, 2)
    inside = torch.arange(width) < torch.tensor(lengths)[:, None]
    frames = (number * inside[:, :, None, None, None]).to(torch.uint8)
    batch = {"frames": frames, "frame_lengths": torch.tensor(lengths), "keys": [f"u{n}" for n in range(len(lengths))]}
    shown = drop_frames(batch, rate, seed)["frames"][:, :, 0, 0, 0]
    whole = frames[:, :, 0, 0, 0]
    assert torch.equal(shown[:, 0], whole[:, 0]) and not shown[~inside].any()
    assert (shown <= whole).all() and (shown.diff(dim=1)[inside[:, 1:]] >= 0).all()
    assert torch.equal(drop_frames(batch, 0, seed)["frames"], frames)
    worse = drop_frames(batch, min(1.0, rate + 0.2), seed)["frames"][:, :, 0, 0, 0]
    assert (worse <= shown).all()
    everything = drop_frames(batch, 1.0, seed)["frames"][:, :, 0, 0, 0]
    assert torch.equal(everything, torch.where(inside, whole[:, :1], 0))
