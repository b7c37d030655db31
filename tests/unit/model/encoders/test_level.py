"""One level for every utterance, whatever its gain, its padding and its neighbours."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.model.encoders.level import LEVEL, normalize_level

LONGEST = torch.tensor([4_000])


def clip(level: float = 0.05, samples: int = 4_000, seed: int = 0) -> torch.Tensor:
    """Noise of an uneven level, f32 [1, samples]."""
    random = torch.Generator().manual_seed(seed)
    return level * torch.randn(1, samples, generator=random) * torch.linspace(0.1, 1.5, samples)


@given(st.floats(-60, 20))
def test_the_gain_of_a_recording_is_not_seen(decibels: float) -> None:
    wave = clip()
    torch.testing.assert_close(
        normalize_level(wave * 10 ** (decibels / 20), LONGEST), normalize_level(wave, LONGEST), atol=1e-6, rtol=1e-5
    )


@given(st.integers(1, 4_000), st.integers(0, 3_000), st.floats(0, 1e3))
def test_neither_padding_nor_neighbours_are_seen(length: int, padding: int, neighbour: float) -> None:
    alone = normalize_level(clip(samples=length), torch.tensor([length]))
    batch = torch.full((2, length + padding), float("nan"))
    batch[0, :length] = clip(samples=length)
    batch[1] = neighbour
    together = normalize_level(batch, torch.tensor([length, length + padding]))
    torch.testing.assert_close(together[0, :length], alone[0], atol=1e-7, rtol=1e-6)
    assert not together[0, length:].any() and together.isfinite().all()


@pytest.mark.parametrize("wave", [torch.zeros(1, 4_000), torch.full((1, 4_000), 0.7), torch.full((1, 4_000), 1e-30)])
def test_digital_silence_stays_silent(wave: torch.Tensor) -> None:
    assert normalize_level(wave, LONGEST).abs().max() < 1e-3 * LEVEL
    assert not normalize_level(wave, torch.tensor([0])).any()


def test_the_gain_is_bounded() -> None:
    wave = 1e-9 * torch.randn(1, 4_000)
    assert normalize_level(wave, LONGEST).abs().max() <= 1e4 * wave.abs().max() * 1.1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_full(dtype: torch.dtype) -> None:
    wave = (clip(0.3, 200_000)).to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        out = normalize_level(wave, torch.tensor([200_000]))
    assert out.dtype is torch.float32
    torch.testing.assert_close(out, normalize_level(wave.float(), torch.tensor([200_000])), atol=0, rtol=0)
    assert float(out.square().mean().sqrt()) == pytest.approx(LEVEL, rel=1e-4)
