"""Gain: soft and loud recordings, and how much of the loud ones is clipped."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dual_hpc.evaluation.perturbations import PERTURBATIONS, Context
from dual_hpc.evaluation.perturbations.gain import change_gain, clipped_samples


def batch() -> dict[str, Any]:
    """Three utterances of 4, 2 and 4 samples; the last is a padding row."""
    wave = torch.tensor([[0.05, -0.2, 0.4, -1.0], [0.09, 0.11, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    return {"waveform": wave, "waveform_lengths": torch.tensor([4, 2, 4]), "valid": torch.tensor([True, True, False])}


def test_a_gain_is_exact_below_full_scale_and_clips_beyond_it() -> None:
    torch.testing.assert_close(change_gain(batch(), -20)["waveform"], batch()["waveform"] / 10)
    torch.testing.assert_close(change_gain(batch(), 20)["waveform"], (batch()["waveform"] * 10).clamp(-1, 1))
    assert change_gain(batch(), 20)["waveform"].abs().max() == 1


def test_clipped_samples_are_counted_over_what_is_valid() -> None:
    assert clipped_samples(batch(), 20) == (4, 6)
    assert clipped_samples(batch(), 7) == (1, 6) and clipped_samples(batch(), 0) == (0, 6)


@pytest.mark.parametrize(("name", "sign"), [("quieter_audio", -1), ("louder_audio", 1)])
def test_levels_are_decibels(name: str, sign: int) -> None:
    one, given = PERTURBATIONS.get(name), batch()
    assert one.apply is not None
    for level in one.levels:
        changed = one.apply(given, level, Context(0))["waveform"]
        assert float(changed[0, 0]) == pytest.approx(min(1.0, 0.05 * 10 ** (sign * level / 20)))
    assert torch.equal(given["waveform"], batch()["waveform"])
