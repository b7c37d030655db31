"""Sound is moved within its utterance: what remains is the same, what came in is silence."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.evaluation.perturbations.audio_shift import shift_audio


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=3), st.integers(-250, 250))
def test_what_is_left_is_what_was_there_so_much_later(lengths, milliseconds):
    width, shift = max(1, *lengths), 16 * milliseconds
    inside = torch.arange(width) < torch.tensor(lengths)[:, None]
    wave = torch.arange(1.0, width + 1).expand(len(lengths), width) * inside
    moved = shift_audio({"waveform": wave, "waveform_lengths": torch.tensor(lengths)}, milliseconds)["waveform"]
    for row, length in enumerate(lengths):
        came_from = torch.arange(width) - shift
        there = (came_from >= 0) & (came_from < length) & inside[row]
        assert torch.equal(moved[row], torch.where(there, came_from + 1.0, 0.0))
