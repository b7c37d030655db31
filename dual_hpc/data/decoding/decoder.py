"""One sample from its tar to arrays: read, decode, augment. Runs in the workers, or in the process itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.decoding.augment import augment_audio, augment_video, dropped_modalities, generator
from dual_hpc.data.decoding.augment_sound import augment_sound
from dual_hpc.data.decoding.decode import DecodeError, decode_audio, decode_features, decode_pictures, decode_text
from dual_hpc.data.decoding.grid import audio_samples
from dual_hpc.data.format.members import AUDIO, AUDIO_RATE, FEATURES, META, TEXT, VIDEO, StoredArray
from dual_hpc.data.format.reader import SampleRef, is_intact
from dual_hpc.data.settings import AugmentSettings, DecodeSettings, plain_copy
from dual_hpc.modality import Modality
from dual_hpc.side_by_side import side_by_side

NO_LABEL = -100  # torch's own value for "no class"
_MODALITY = {  # of each member that carries one
    AUDIO: Modality.AUDIO,
    VIDEO: Modality.VIDEO,
    TEXT: Modality.TEXT,
    **{f"{modality.feature_key}{FEATURES}": modality for modality in Modality},
}


def _modality(extension: str) -> Modality | None:
    return _MODALITY.get(extension.rpartition("/")[2])


@dataclass(frozen=True)
class DecodeFailure:
    """Why a sample is bad, and the members that together make it fail: without one of them it may be decodable."""

    members: frozenset[str]
    reason: str


@dataclass(frozen=True)
class Request:
    """One row of a batch; a padding row has no `ref`. `failures` are those of the sample that are known already."""

    ref: SampleRef | None
    label: int = NO_LABEL
    epoch: int = 0
    failures: tuple[DecodeFailure, ...] = ()


@dataclass
class Sample:
    """Decoded arrays of one sample; what is missing is empty. `failure` says why a sample is blank."""

    duration: float = 0.0  # seconds, cut at max_seconds
    waveform: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))  # [n]
    frames: NDArray[np.uint8] | None = None  # [F, S, S, 3]
    text: str | None = None
    features: dict[str, NDArray[np.floating]] = field(default_factory=dict)  # name -> [T, D]
    failure: DecodeFailure | None = None
    video_decoder: str | None = None  # which one decoded `frames` (`decoder_counts.py`)


@dataclass(frozen=True)
class DecodeConfig:
    """All that decoding depends on besides the sample.

    `augment` is None for evaluation; `features` says what the arrays of feature shards are made of, empty for media.
    """

    settings: DecodeSettings
    augment: AugmentSettings | None = None
    seed: int = 0
    features: dict[str, tuple[StoredArray, ...]] = field(default_factory=dict)

    @cached_property
    def layout(self) -> dict[str, tuple[int, str]]:
        """The arrays of a batch of features, name -> (D, dtype)."""
        return {
            name: (sum(one.width for one in arrays), np.result_type(*(one.dtype for one in arrays)).str)
            for name, arrays in self.features.items()
        }

    def plain_copy(self) -> DecodeConfig:
        """The same without the configuration's classes, so that a worker need not load pydantic."""
        augment = None if self.augment is None else plain_copy(self.augment, AugmentSettings)
        return replace(self, settings=plain_copy(self.settings, DecodeSettings), augment=augment)


class SampleDecoder:
    """Turns requests into samples."""

    def __init__(self, decode_config: DecodeConfig):
        self._config = decode_config
        self._settings, self._seed = decode_config.settings, decode_config.seed
        augment = decode_config.augment
        self._augment = augment if augment is not None and augment.enabled else None
        self._arrays = {one.member: one for arrays in decode_config.features.values() for one in arrays}

    def members_to_read(self, request: Request) -> set[str]:
        """Extensions to read and decode: modality dropout happens before the work is done."""
        if request.ref is None:
            return set()
        members = set(request.ref.members) - {META}
        if self._augment is None:
            return members
        present = {found for e in members if (found := _modality(e)) is not None}
        rng = generator(self._seed, request.epoch, request.ref.number, "modality")
        dropped = dropped_modalities(present, self._augment, rng)
        return {e for e in members if _modality(e) not in dropped}

    def decode(self, request: Request, members: dict[str, bytes]) -> Sample:
        """The sample; a blank one with its `failure` if a member is damaged, or known to be."""
        ref = request.ref
        if ref is None:
            return Sample()
        for failure in request.failures:
            if failure.members <= members.keys():
                return Sample(failure=failure)
        sample = Sample(duration=min(ref.duration, self._settings.max_seconds))
        for extension, data in members.items():
            try:
                self._decode(sample, ref, request.epoch, extension, data, alone=VIDEO not in members)
            except DecodeError as error:
                return Sample(failure=DecodeFailure(frozenset({extension}), str(error)))
        read, of = sample.features, self._config.features
        sample.features = {
            name: joined_features(arrays, read)
            for name, arrays in of.items()
            if any(one.member in read for one in arrays)
        }
        return sample

    def _decode(self, sample: Sample, ref: SampleRef, epoch: int, extension: str, data: bytes, alone: bool) -> None:
        """Put one member into the sample; `alone`: it has no pictures that its sound must keep time with."""
        settings, augment = self._settings, self._augment
        if not is_intact(ref, extension, data):
            raise DecodeError(f"{extension}: is not what was packed (its CRC-32 differs)")
        if extension == AUDIO:
            sample.waveform = decode_audio(data, settings.max_seconds)
            if augment is not None:
                self._augment_sound(sample, augment, ref.number, epoch, alone)
        elif extension == VIDEO:
            frames, sample.video_decoder = decode_pictures(
                data, ref.duration, settings.video_hz, settings.max_seconds, settings.image_size
            )
            if augment is not None:
                frames = augment_video(frames, augment, generator(self._seed, epoch, ref.number, "video"))
            sample.frames = frames
        elif extension == TEXT:
            sample.text = decode_text(data) or None
        elif extension.endswith(FEATURES):
            one = self._arrays[extension]
            sample.features[extension] = decode_features(data, one.width, one.dtype)

    def _augment_sound(self, sample: Sample, augment: AugmentSettings, number: int, epoch: int, alone: bool) -> None:
        heard = len(sample.waveform)
        changed = augment_sound(sample.waveform, augment, alone, generator(self._seed, epoch, number, "sound"))
        changed = changed[: audio_samples(self._settings.max_seconds)]
        if len(changed) != heard:
            sample.duration = len(changed) / AUDIO_RATE
        sample.waveform = augment_audio(changed, augment, generator(self._seed, epoch, number, "audio"))


def joined_features(arrays: Sequence[StoredArray], found: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """The array of a modality [T, D], of those that its members hold, of which one may be missing."""
    each = [found.get(one.member, np.empty((0, one.width), one.dtype)) for one in arrays]
    return each[0] if len(each) == 1 else side_by_side(each, [one.hz for one in arrays])
