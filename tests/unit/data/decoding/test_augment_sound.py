"""What training does to the sound as a whole: ends, speed, bands; a function of its draws, and nothing unless asked."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.config.schema import AugmentConfig
from dual_hpc.data.decoding.augment import generator
from dual_hpc.data.decoding.augment_sound import Wave, augment_sound, fast_length

RATE = 16_000


def changed(wave: Wave, alone: bool = True, number: int = 0, **settings: Any) -> Wave:
    return augment_sound(wave, AugmentConfig(**settings), alone, generator(0, 0, number, "sound"))


def tone(hz: float, samples: int = RATE) -> Wave:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(samples) / RATE)).astype(np.float32)


def pitch(wave: Wave) -> float:
    window = wave * np.hanning(len(wave))
    return float(np.abs(np.fft.rfft(window, 1 << 18)).argmax() * RATE / (1 << 18))


def power(wave: Wave, low: float, high: float) -> float:
    spectrum = np.abs(np.fft.rfft(wave)) ** 2
    hertz = np.fft.rfftfreq(len(wave), 1 / RATE)
    return float(spectrum[(hertz >= low) & (hertz < high)].sum())


EVERYTHING: dict[str, Any] = {"speed": 0.2, "cut_ends": 0.2, "equalizer_db": 6, "band_masks": 2}


def test_by_default_the_sound_stays_as_it_was() -> None:
    wave = tone(440)
    found = changed(wave)
    assert np.shares_memory(found, wave) and np.array_equal(found, wave)


@given(st.integers(1, 40_000), st.integers(0, 50))
def test_any_clip_stays_a_clip_of_numbers_within_range(samples: int, number: int) -> None:
    wave = np.random.default_rng(number).uniform(-1, 1, samples).astype(np.float32)
    before = wave.copy()
    found = changed(wave, number=number, **EVERYTHING)
    assert found.dtype == np.float32 and found.ndim == 1 and len(found) >= 1
    assert np.isfinite(found).all() and np.abs(found).max() <= 1.0001
    assert np.array_equal(wave, before)


@given(st.integers(0, 100))
def test_the_same_draws_give_the_same_bits_and_others_another_sound(number: int) -> None:
    wave = tone(300)
    first, again, other = (changed(wave, number=n, **EVERYTHING) for n in (number, number, number + 1))
    assert np.array_equal(first, again)
    assert len(first) != len(other) or not np.array_equal(first, other)


@pytest.mark.parametrize("number", range(8))
def test_speed_changes_duration_and_pitch_alike(number: int) -> None:
    wave = tone(440, 2 * RATE)
    found = changed(wave, number=number, speed=0.2)
    ratio = len(wave) / len(found)
    assert 0.78 < ratio < 1.22
    assert pitch(found) == pytest.approx(440 * ratio, rel=2e-3)
    assert np.sqrt(np.mean(found**2)) == pytest.approx(np.sqrt(np.mean(wave**2)), rel=0.02)


def test_speeds_are_spread_over_the_whole_range() -> None:
    wave = tone(440)
    ratios = [len(wave) / len(changed(wave, number=n, speed=0.2)) for n in range(200)]
    assert min(ratios) < 0.85 and max(ratios) > 1.15 and abs(float(np.mean(ratios)) - 1) < 0.03


def test_what_is_left_between_cut_ends_is_the_sound_as_it_was() -> None:
    wave = (np.arange(RATE) / RATE).astype(np.float32)
    found = changed(wave, number=3, cut_ends=0.2)
    assert 0.6 * RATE <= len(found) < RATE
    start = round(float(found[0]) * RATE)
    assert np.array_equal(found, wave[start : start + len(found)])
    assert len(changed(wave[:3_000], cut_ends=0.4)) == 3_000  # too short to lose anything


@pytest.mark.parametrize("number", range(6))
def test_beside_pictures_every_moment_stays_where_it_is(number: int) -> None:
    wave = np.zeros(RATE, np.float32)
    wave[5_000] = 0.5
    found = changed(wave, alone=False, number=number, **EVERYTHING)
    assert len(found) == len(wave) and abs(int(np.abs(found).argmax()) - 5_000) <= 2


def test_a_masked_band_is_silent_and_what_is_far_from_it_is_not() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 4 * RATE).astype(np.float32)
    edges = 700 * np.expm1(np.linspace(0, np.log1p(8_000 / 700), 33))
    quiet = []
    for number in range(10):
        found = changed(noise, number=number, band_masks=1, band_mask_share=0.4)
        shares = [power(found, *band) / power(noise, *band) for band in pairwise(edges)]
        assert max(shares) > 0.9
        quiet.append(sum(share < 1e-3 for share in shares))
    assert max(quiet) > 4 and max(quiet) <= 13


def test_the_equalizer_stays_within_its_gain() -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, 4 * RATE).astype(np.float32)
    edges = 700 * np.expm1(np.linspace(0, np.log1p(8_000 / 700), 9))
    found = changed(noise, equalizer_db=6)
    gains = [10 * np.log10(power(found, *band) / power(noise, *band)) for band in pairwise(edges)]
    assert max(gains) - min(gains) > 2 and max(map(abs, gains)) < 6.1


@given(st.integers(1, 200_000))
def test_a_fast_length_is_the_next_one_with_small_factors(samples: int) -> None:
    found = fast_length(samples)
    assert samples <= found <= max(2 * samples, 1)
    for factor in (2, 3, 5):
        while found % factor == 0:
            found //= factor
    assert found == 1
