"""Which samples the changes of their sound reach, and what a batch then says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dual_hpc.config.schema import AugmentConfig
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.decoding.decoder import DecodeConfig, Request, Sample, SampleDecoder
from dual_hpc.data.format.reader import SampleReader
from dual_hpc.data.loader import EvalLoader
from tests.unit.data.conftest import Clip, flac_of, mp4_of, settings, write_shards

QUIET: dict[str, Any] = {"gain_db": 0, "noise_prob": 0, "time_mask_prob": 0, "drop_audio": 0, "drop_video": 0}
MOVING = AugmentConfig(**QUIET, speed=0.2, cut_ends=0.1, equalizer_db=6, band_masks=2)


@pytest.fixture
def sound_and_picture(tmp_path: Path) -> Path:
    """Sample 0 has sound alone, sample 1 sound and pictures, of a second each."""
    sound = flac_of(1.0)
    return write_shards(tmp_path / "shards", [[Clip(1.0, sound), Clip(1.0, sound, mp4_of(1.0))]])


def decoded(folder: Path, number: int, epoch: int = 0, augment: Any = MOVING, seed: int = 0, **data: Any) -> Sample:
    ref = ShardDataset([folder]).ref(number)
    decoder = SampleDecoder(DecodeConfig(settings(**data), augment, seed))
    request = Request(ref, epoch=epoch)
    with SampleReader() as reader:
        return decoder.decode(request, reader.read(ref, decoder.members_to_read(request)))


def test_sound_alone_may_become_shorter_or_longer_and_its_duration_says_so(sound_and_picture: Path) -> None:
    found = [decoded(sound_and_picture, 0, epoch) for epoch in range(12)]
    sizes = [len(sample.waveform) for sample in found]
    assert min(sizes) < 16_000 < max(sizes)
    assert all(sample.duration == len(sample.waveform) / 16_000 for sample in found)


def test_beside_pictures_the_sound_keeps_its_time(sound_and_picture: Path) -> None:
    for epoch in range(4):
        sample = decoded(sound_and_picture, 1, epoch)
        assert len(sample.waveform) == 16_000 and sample.duration == 1.0
        assert not np.array_equal(sample.waveform, decoded(sound_and_picture, 1, augment=None).waveform)


def test_where_the_pictures_are_dropped_the_sound_is_free(sound_and_picture: Path) -> None:
    alone = MOVING.model_copy(update={"drop_video": 0.99})
    assert any(len(decoded(sound_and_picture, 1, epoch, alone).waveform) != 16_000 for epoch in range(8))


def test_a_longer_sound_is_cut_where_every_utterance_is(sound_and_picture: Path) -> None:
    for epoch in range(12):
        sample = decoded(sound_and_picture, 0, epoch, max_seconds=1.0)
        assert len(sample.waveform) <= 16_000 and sample.duration <= 1.0


def test_the_sound_is_a_function_of_seed_epoch_and_sample(sound_and_picture: Path) -> None:
    first, again = (decoded(sound_and_picture, 0, 3).waveform for _ in range(2))
    assert np.array_equal(first, again)
    for other in (decoded(sound_and_picture, 0, 4), decoded(sound_and_picture, 0, 3, seed=1)):
        assert not np.array_equal(first, other.waveform)


def test_settings_that_are_off_leave_the_bits_of_earlier_versions(sound_and_picture: Path) -> None:
    """The draws of gain, noise and masks do not depend on whether the new changes are drawn."""
    noisy = AugmentConfig(drop_audio=0, drop_video=0, noise_prob=1)
    plain = decoded(sound_and_picture, 0, augment=noisy).waveform
    still = decoded(sound_and_picture, 0, augment=noisy.model_copy(update={"speed": 1e-9})).waveform
    np.testing.assert_allclose(still, plain, atol=1e-5)


def test_evaluation_changes_nothing(sound_and_picture: Path) -> None:
    shards = ShardDataset([sound_and_picture])
    (batch,) = EvalLoader(shards, [0, 1], [0, 0], settings(), None, 0, 1, 2, torch.device("cpu"))
    plain = decoded(sound_and_picture, 0, augment=None).waveform
    assert np.array_equal(batch["waveform"][0].numpy(), plain)
