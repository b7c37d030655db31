"""The audio encoder that learns real speech: what a step is, and that neither padding, batch nor level reaches it."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dual_hpc.model.encoders.audio.melcnn import MelCnnEncoder, UtteranceNorm
from dual_hpc.model.encoders.registry import AUDIO

RATE = 16_000


def encoder(seed: int = 0) -> MelCnnEncoder:
    torch.manual_seed(seed)
    return MelCnnEncoder(channels=(8, 8, 16, 16), output_size=16).eval()


def voice(hz: float = 140.0, seconds: float = 1.0) -> torch.Tensor:
    """Syllables with pauses."""
    times = torch.arange(int(RATE * seconds)) / RATE
    sound = torch.stack([torch.sin(2 * math.pi * hz * n * times) / n for n in range(1, 20)]).sum(0)
    return 0.05 * sound * torch.sin(2 * math.pi * 2 * times).clamp_min(0) ** 2


def alone(model: MelCnnEncoder, wave: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(wave.unsqueeze(0), torch.tensor([len(wave)]))[0][0]


def test_there_are_twelve_and_a_half_steps_per_second_and_none_of_a_missing_sound() -> None:
    model = encoder()
    features, steps = model(torch.randn(4, RATE), torch.tensor([RATE, 1_281, 1, 0]))
    assert features.shape == (4, 13, 16) and steps.tolist() == [13, 2, 1, 0] and model.rate_hz == 12.5
    assert features.isfinite().all() and not features[1, 2:].any() and not features[3].any()


@given(st.integers(1, 24_000), st.integers(0, 9_000), st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_padding_whatever_it_holds_changes_no_feature(samples: int, padding: int, seed: int) -> None:
    model, wave = encoder(), torch.randn(samples, generator=torch.Generator().manual_seed(seed)) * 0.1
    plain = alone(model, wave)
    batch = torch.full((2, samples + padding), float("nan"))
    batch[0, :samples] = wave
    batch[1] = 1.0
    with torch.no_grad():
        features, steps = model(batch, torch.tensor([samples, samples + padding]))
    assert int(steps[0]) == len(plain)
    torch.testing.assert_close(features[0, : len(plain)], plain, atol=2e-5, rtol=1e-4)


@given(st.floats(-40, 20))
@settings(max_examples=10, deadline=None)
def test_the_gain_of_a_recording_changes_no_feature(decibels: float) -> None:
    model, wave = encoder(), voice()
    torch.testing.assert_close(alone(model, wave * 10 ** (decibels / 20)), alone(model, wave), atol=2e-5, rtol=1e-4)


def test_every_step_knows_the_whole_utterance() -> None:
    model, wave = encoder(), torch.cat([voice(140, 3.0), voice(140, 1.0)])
    other = torch.cat([wave[: 3 * RATE], voice(320, 1.0)])
    first = [alone(model, sound)[2] for sound in (wave, other)]
    assert (first[0] - first[1]).abs().max() > 1e-3


def test_a_step_lies_where_its_sound_lies() -> None:
    model, silence = encoder(), torch.zeros(3 * RATE)
    for place in (15, 16, 20):
        wave = silence.clone()
        wave[place * 1_280 : (place + 1) * 1_280] = voice()[2_000:3_280]  # just what step `place` is said to cover
        moved = (alone(model, wave) - alone(model, wave)[6]).norm(dim=1)[6:-6]  # from the silence far from it
        centre = float((moved * (torch.arange(len(moved)) + 6)).sum() / moved.sum())
        assert abs(centre - place) < 0.5


@pytest.mark.parametrize("channels", [(8, 8, 16), (16, 24, 48, 64), (8, 16)])
@pytest.mark.parametrize("mels", [80, 33])
def test_clips_of_any_length_give_every_weight_a_finite_gradient(channels: tuple[int, ...], mels: int) -> None:
    model = MelCnnEncoder(channels=channels, output_size=16, mels=mels)
    features, _ = model(torch.randn(4, 9_000), torch.tensor([9_000, 1_281, 1, 0]))
    features.square().sum().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


def test_dropout_is_for_training_alone() -> None:
    model, wave = encoder(), voice()
    assert torch.equal(alone(model, wave), alone(model, wave))
    model.train()
    assert not torch.equal(alone(model, wave), alone(model, wave))


def test_every_layer_can_be_left_to_learn_alone() -> None:
    layers = encoder().layers()
    counted = sum(p.numel() for layer in layers for p in layer.parameters())
    assert counted == sum(p.numel() for p in encoder().parameters())


@pytest.mark.parametrize("channels", [3, 8, 12, 24])
def test_the_norm_is_group_norm_over_the_valid_frames(channels: int) -> None:
    torch.manual_seed(0)
    groups = channels // 8 if channels % 8 == 0 else 1
    norm, theirs = UtteranceNorm(channels), torch.nn.GroupNorm(groups, channels, eps=1e-4)
    assert norm.groups == groups
    x = torch.randn(2, channels, 7, 5) + 2
    x[1, :, 4:] = 0
    found = norm(x, torch.tensor([7, 4]))
    torch.testing.assert_close(found[0], theirs(x[:1])[0], atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(found[1, :, :4], theirs(x[1:, :, :4])[0], atol=1e-4, rtol=1e-3)


def test_it_is_a_kind_of_its_own() -> None:
    assert "melcnn" in AUDIO
