"""The spectrogram in front of the small audio encoder."""

from __future__ import annotations

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dual_hpc.model.encoders.audio.logmel import LogMelEncoder
from dual_hpc.model.torchaudio_stub import mel_filters


def tone(hz: float, seconds: float = 0.5) -> torch.Tensor:
    return 0.3 * torch.sin(2 * math.pi * hz * torch.arange(int(16_000 * seconds)) / 16_000)


def spectrum(encoder: LogMelEncoder, wave: torch.Tensor) -> torch.Tensor:
    return encoder.spectrogram(wave.unsqueeze(0), torch.tensor([len(wave)]))[0]


def test_a_tone_peaks_in_the_band_that_holds_it() -> None:
    encoder = LogMelEncoder()
    centres = mel_filters(513, 50.0, 5_000.0, 80, 16_000).argmax(0) * 16_000 / 1_024
    for hz in (200.0, 440.0, 1_000.0, 3_000.0):
        band = int(spectrum(encoder, tone(hz))[10].argmax())
        assert abs(float(centres[band]) - hz) < 0.06 * hz + 16


def test_voices_a_few_semitones_apart_differ() -> None:
    encoder = LogMelEncoder()
    low, high = (sum(tone(hz * n) for n in range(1, 6)) for hz in (120.0, 135.0))
    assert (spectrum(encoder, low) - spectrum(encoder, high))[10].abs().max() > 0.5


def test_silence_is_finite_and_the_scale_is_moderate() -> None:
    encoder = LogMelEncoder()
    silent = spectrum(encoder, torch.zeros(8_000))
    assert silent.isfinite().all() and silent.abs().max() < 5
    noise = spectrum(encoder, 0.1 * torch.randn(16_000))
    assert abs(float(noise.mean())) < 2 and float(noise.max()) < 5


def test_there_are_fifty_frames_per_second_and_half_as_many_features() -> None:
    encoder = LogMelEncoder()
    waveform, lengths = torch.randn(3, 16_000), torch.tensor([16_000, 321, 0])
    assert encoder.spectrogram(waveform, lengths).shape == (3, 50, 80)
    features, steps = encoder(waveform, lengths)
    assert features.shape == (3, 25, 64) and steps.tolist() == [25, 1, 0] and encoder.rate_hz == 25
    assert not features[1, 1:].any() and not features[2].any()


def speech(seconds: float = 1.0) -> torch.Tensor:
    """Syllables of a voice with pauses: RMS -41 dBFS, as in real recordings of acted speech."""
    times = torch.arange(int(16_000 * seconds)) / 16_000
    voice = sum(torch.sin(2 * math.pi * 140 * n * times) / n for n in range(1, 20))
    wave = voice * torch.sin(2 * math.pi * 2 * times).clamp_min(0) ** 2
    return 0.009 * wave / wave.square().mean().sqrt()


@given(st.floats(-40, 20))
@settings(max_examples=15, deadline=None)
def test_the_gain_of_a_recording_changes_no_feature(decibels: float) -> None:
    torch.manual_seed(0)
    encoder, wave = LogMelEncoder(), speech()
    lengths = torch.tensor([len(wave)])
    with torch.no_grad():
        features = [encoder(x.unsqueeze(0), lengths)[0] for x in (wave, wave * 10 ** (decibels / 20))]
    torch.testing.assert_close(*features, atol=1e-5, rtol=1e-4)


def test_a_soft_recording_is_above_the_floor_and_one_of_an_earlier_model_is_not() -> None:
    floor = (math.log(1e-6) + 7) / 4
    new, earlier = (spectrum(LogMelEncoder(normalize=how), 0.1 * speech()) for how in (True, False))
    shares = [float((x <= floor + 1e-4).float().mean()) for x in (new, earlier)]
    assert shares[0] < 0.7 < 0.8 < shares[1]
