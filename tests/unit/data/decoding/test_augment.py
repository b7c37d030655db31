"""Augmentation: a function of (seed, epoch, sample); every change stays inside the shapes and ranges of its input."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.data.decoding.augment import augment_audio, augment_video, drop_tokens, dropped_modalities, generator
from dual_hpc.modality import Modality, parse_subset
from tests.unit.data.conftest import augment_all

NOTHING = dict(gain_db=0, noise_prob=0, time_mask_prob=0, flip_prob=0, crop_fraction=0, colour=0, frame_drop_prob=0)
PRESENT = st.sampled_from([parse_subset(letters) for letters in ("a", "v", "t", "av", "at", "vt", "avt")])


def test_seed_epoch_sample_and_purpose_each_give_other_numbers() -> None:
    drawn = {
        generator(*where).random()
        for where in [(0, 0, 0, "a"), (1, 0, 0, "a"), (0, 1, 0, "a"), (0, 0, 1, "a"), (0, 0, 0, "b")]
    }
    assert len(drawn) == 5
    assert generator(5, 6, 7, "x").random() == generator(5, 6, 7, "x").random()


@given(PRESENT, st.floats(0, 0.99), st.floats(0, 0.99), st.floats(0, 1), st.integers(0, 10**6))
def test_something_remains_and_audio_and_video_are_never_both_dropped(
    present: Any, a: float, v: float, t: float, seed: int
) -> None:
    config = augment_all(drop_audio=a, drop_video=v, drop_text=t)
    dropped = dropped_modalities(present, config, generator(seed, 0, 0, "modality"))
    assert dropped < set(present)
    either = {Modality.AUDIO, Modality.VIDEO}
    if either & set(present):
        assert either & (set(present) - dropped)


def test_modalities_are_dropped_as_often_as_asked() -> None:
    config = augment_all(drop_audio=0.2, drop_video=0.1, drop_text=0.4)
    draws = [dropped_modalities(list(Modality), config, generator(0, 0, n, "modality")) for n in range(4000)]
    shares = {m: np.mean([m in d for d in draws]) for m in Modality}
    both = 0.2 * 0.1 / 2  # where both were drawn, one is given back
    for modality, expected in {Modality.AUDIO: 0.2 - both, Modality.VIDEO: 0.1 - both, Modality.TEXT: 0.4}.items():
        assert abs(shares[modality] - expected) < 0.03


@given(st.integers(1, 5000), st.integers(0, 1000))
def test_audio_keeps_its_length_and_range(n: int, seed: int) -> None:
    wave = np.random.default_rng(seed).uniform(-1, 1, n).astype(np.float32)
    before = wave.copy()
    out = augment_audio(wave, augment_all(gain_db=12, noise_prob=1, time_mask_prob=1), generator(seed, 0, 0, "audio"))
    assert out.shape == wave.shape and out.dtype == np.float32 and np.abs(out).max() <= 1
    assert np.array_equal(wave, before)


def test_noise_has_the_power_that_was_asked_for() -> None:
    wave = np.sin(np.arange(16000) / 5).astype(np.float32) * 0.1
    out = augment_audio(
        wave, augment_all(**NOTHING | {"noise_prob": 1, "noise_snr_db": (20, 20)}), generator(0, 0, 0, "a")
    )
    assert abs(10 * np.log10((wave**2).mean() / ((out - wave) ** 2).mean()) - 20) < 0.3


def test_a_masked_stretch_is_silent_and_as_long_as_asked() -> None:
    wave = np.full(16000, 0.5, np.float32)
    out = augment_audio(
        wave, augment_all(**NOTHING | {"time_mask_prob": 1, "time_mask_seconds": 0.25}), generator(0, 0, 0, "a")
    )
    assert (out == 0).sum() == 4000 and np.diff(np.flatnonzero(out == 0)).max() == 1


@given(st.integers(1, 6), st.sampled_from([16, 32]), st.integers(0, 1000))
def test_video_keeps_its_shape(frames: int, size: Any, seed: int) -> None:
    video = np.random.default_rng(seed).integers(0, 256, (frames, size, size, 3), dtype=np.uint8)
    out = augment_video(video, augment_all(), generator(seed, 0, 0, "video"))
    assert out.shape == video.shape and out.dtype == np.uint8


def test_without_changes_everything_stays() -> None:
    video = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    wave = np.random.default_rng(0).uniform(-1, 1, 100).astype(np.float32)
    assert np.array_equal(augment_video(video, augment_all(**NOTHING), generator(0, 0, 0, "v")), video)
    assert np.array_equal(augment_audio(wave, augment_all(**NOTHING), generator(0, 0, 0, "a")), wave)


def test_a_mirrored_clip_is_mirrored_in_every_picture() -> None:
    video = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    out = augment_video(video, augment_all(**NOTHING | {"flip_prob": 1}), generator(0, 0, 0, "v"))
    assert np.array_equal(out, video[:, :, ::-1])


def test_a_dropped_picture_repeats_the_one_before() -> None:
    video = np.arange(1, 41, dtype=np.uint8)[:, None, None, None] * np.ones((1, 16, 16, 3), np.uint8)
    out = augment_video(video, augment_all(**NOTHING | {"frame_drop_prob": 0.5}), generator(0, 0, 0, "v"))[:, 0, 0, 0]
    assert out[0] == 1 and 10 < (out == np.arange(1, 41)).sum() < 30
    assert all(now in (k, before) for k, now, before in zip(range(2, 41), out[1:], out[:-1], strict=True))


def test_only_droppable_tokens_are_replaced() -> None:
    ids = np.arange(100)
    droppable = np.arange(100) % 2 == 0
    drop_tokens(ids, droppable, -1, 0.5, generator(0, 0, 0, "text"))
    changed = ids == -1
    assert not changed[~droppable].any() and 15 < changed.sum() < 35
