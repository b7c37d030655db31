"""Recordings of the user's own: each utterance gets its piece, loud enough, whatever batch it is in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from dual_hpc.data.decoding.container import UnreadableMedia
from dual_hpc.errors import UserError
from dual_hpc.evaluation.perturbations.recorded_noise import RECORDED_NOISE, Recordings, add_recorded_noise
from dual_hpc.evaluation.run import evaluate
from tests.unit.evaluation.perturbations.test_noise import LENGTHS, batch_of, ratio
from tests.unit.evaluation.test_run import data_of


@pytest.fixture
def noises(tmp_path: Path) -> Path:
    """A short and a long recording, one of them at another rate, and a file that is none."""
    folder = tmp_path / "noise" / "free-sound"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    soundfile.write(folder / "short.wav", rng.normal(0, 0.1, 300), 16_000)
    soundfile.write(folder / "long.FLAC", rng.normal(0, 0.1, 88_200), 44_100, format="FLAC")
    (folder / "LICENSE").write_text("text")
    return tmp_path / "noise"


@pytest.mark.parametrize("snr", [20.0, -5.0])
def test_each_utterance_lies_under_its_own_piece_at_the_ratio_asked_for(noises: Path, snr: float) -> None:
    batch, recordings = batch_of(*LENGTHS), Recordings(noises)
    noisy = add_recorded_noise(batch, snr, 0, recordings)["waveform"]
    for row, length in enumerate(LENGTHS):
        assert not noisy[row, length:].any()
        if length > 1:
            assert ratio(batch["waveform"][row], noisy[row]) == pytest.approx(snr, abs=0.01)
    alone = {"waveform": batch["waveform"][1:2], "waveform_lengths": torch.tensor([400]), "keys": ["u1"]}
    assert torch.equal(add_recorded_noise(alone, snr, 0, Recordings(noises))["waveform"][0], noisy[1])
    others = [add_recorded_noise(alone, snr, seed, recordings)["waveform"][0] for seed in range(1, 20)]
    assert not all(torch.equal(other, noisy[1]) for other in others)


def test_a_folder_without_recordings_and_a_damaged_recording_are_named(noises: Path) -> None:
    for folder in (noises / "nowhere", noises / "free-sound" / "LICENSE"):
        with pytest.raises(UserError, match=r"--noise: .* is not a folder"):
            Recordings(folder)
    (noises / "empty").mkdir()
    with pytest.raises(UserError, match=r"--noise: .* holds no recordings"):
        Recordings(noises / "empty")
    (noises / "empty" / "broken.wav").write_bytes(b"RIFF")
    with pytest.raises(UnreadableMedia, match=r"broken\.wav"):
        add_recorded_noise(batch_of(900), 0, 0, Recordings(noises / "empty"))


def test_the_suite_has_a_curve_of_it_and_the_report_names_the_folder(saved_model, shards, noises) -> None:
    result = evaluate(saved_model, data_of(shards), robustness_seed=3, noise=noises)
    assert [c.subset for c in result.robustness.curves if c.perturbation is RECORDED_NOISE] == ["av", "avt"]
    assert result.about["noise"] == str(noises)
