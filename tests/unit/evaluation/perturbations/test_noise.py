"""Noise has the asked loudness against each utterance, and nothing else of the batch changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.evaluation.perturbations.noise import add_babble, add_white_noise, at_ratio

LENGTHS = (900, 400, 0, 1)


def batch_of(*lengths: int) -> dict[str, Any]:
    waves = torch.zeros(len(lengths), max(lengths))
    for row, length in enumerate(lengths):
        waves[row, :length] = torch.from_numpy(np.random.default_rng(row).uniform(-0.5, 0.5, length).astype(np.float32))
    keys = [f"u{row}" for row in range(len(lengths))]
    return {"waveform": waves, "waveform_lengths": torch.tensor(lengths), "keys": keys, "frames": torch.ones(1)}


def ratio(clean: torch.Tensor, noisy: torch.Tensor) -> float:
    return float(10 * torch.log10(clean.square().sum() / (noisy - clean).square().sum()))


@pytest.mark.parametrize("noise", [lambda batch, snr: add_white_noise(batch, snr, 0), add_babble])
@pytest.mark.parametrize("snr", [20.0, 0.0, -5.0])
def test_the_noise_lies_as_far_below_each_utterance_as_was_asked(noise, snr):
    batch = batch_of(*LENGTHS)
    before = batch["waveform"].clone()
    noisy = noise(batch, snr)
    for row in (0, 1, 3):
        assert ratio(before[row], noisy["waveform"][row]) == pytest.approx(snr, abs=0.01)
    for row, length in enumerate(LENGTHS):
        assert not noisy["waveform"][row, length:].any()
    assert torch.equal(batch["waveform"], before) and noisy["frames"] is batch["frames"]


def test_white_noise_is_the_utterances_own_in_any_batch_and_at_any_ratio():
    whole, alone = batch_of(*LENGTHS), batch_of(*LENGTHS)
    alone = {**alone, "waveform": alone["waveform"][1:2], "waveform_lengths": torch.tensor([400]), "keys": ["u1"]}
    loud, quiet = add_white_noise(whole, 0, 7)["waveform"][1], add_white_noise(alone, 0, 7)["waveform"][0]
    assert torch.equal(loud, quiet)
    assert not torch.equal(loud, add_white_noise(whole, 0, 8)["waveform"][1])
    softer = add_white_noise(whole, 20, 7)["waveform"][1] - whole["waveform"][1]
    torch.testing.assert_close(softer * 10, loud - whole["waveform"][1], atol=1e-5, rtol=1e-4)


def test_babble_is_made_of_the_others_and_of_oneself_only_when_alone():
    batch = batch_of(600, 600)
    noisy = add_babble(batch, 0)["waveform"]
    added, other = noisy[0] - batch["waveform"][0], batch["waveform"][1]
    assert float(torch.corrcoef(torch.stack([added, other]))[0, 1]) == pytest.approx(1, abs=1e-4)
    alone = {**batch, "waveform": batch["waveform"][:1], "waveform_lengths": torch.tensor([600]), "keys": ["u0"]}
    added = add_babble(alone, 0)["waveform"][0] - alone["waveform"][0]
    assert float(torch.corrcoef(torch.stack([added, alone["waveform"][0].flip(0)]))[0, 1]) == pytest.approx(1, abs=1e-4)


@given(st.integers(0, 50), st.floats(-20, 40))
def test_silence_stays_silent_and_no_number_becomes_none(length, snr):
    silence, noise = np.zeros(length, np.float32), np.ones(length, np.float32)
    assert not at_ratio(silence, noise, snr).any()
    assert np.array_equal(at_ratio(noise, silence, snr), noise)
    assert np.isfinite(at_ratio(noise, noise, snr)).all()
