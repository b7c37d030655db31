"""Training-time changes of a sample, drawn from (seed, epoch, sample) and nothing else.

Ranks, workers and restarts therefore see the same augmented sample. Each kind of change has its own stream of random
numbers, so switching one off leaves the others as they were.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.format.members import AUDIO_RATE
from dual_hpc.data.keys import key_of
from dual_hpc.data.settings import AugmentSettings
from dual_hpc.modality import Modality


def generator(seed: int, epoch: int, number: int, purpose: str) -> np.random.Generator:
    """The random numbers of one kind of change to one sample in one epoch."""
    return np.random.Generator(np.random.Philox(key=key_of(seed, epoch, number, purpose)))


def dropped_modalities(
    present: Collection[Modality], config: AugmentSettings, rng: np.random.Generator
) -> set[Modality]:
    """Which of the present modalities this sample does without.

    Audio and video are never both missing afterwards unless both were missing before, and something always remains.
    """
    draws = dict(zip(Modality, rng.random(3), strict=True))
    probabilities = {
        Modality.AUDIO: config.drop_audio,
        Modality.VIDEO: config.drop_video,
        Modality.TEXT: config.drop_text,
    }
    dropped = {m for m in Modality if m in present and draws[m] < probabilities[m]}
    audible_or_visible = {Modality.AUDIO, Modality.VIDEO}
    if not audible_or_visible & (set(present) - dropped):
        kept = audible_or_visible & set(present)
        if len(kept) == 2:
            kept = {Modality.AUDIO if rng.random() < 0.5 else Modality.VIDEO}
        dropped -= kept or {Modality.TEXT}
    return dropped


def augment_audio(wave: NDArray[np.float32], config: AugmentSettings, rng: np.random.Generator) -> NDArray[np.float32]:
    """Gain, one silenced stretch, noise; [n] -> [n], clipped to [-1, 1]."""
    gain, noisy, masked, where, snr = rng.random(5)
    wave = wave * np.float32(10 ** (config.gain_db * (2 * gain - 1) / 20))
    if masked < config.time_mask_prob:
        stretch = min(int(config.time_mask_seconds * AUDIO_RATE), len(wave) // 2)  # a short clip keeps half
        start = int(where * (len(wave) - stretch + 1))
        wave[start : start + stretch] = 0
    if noisy < config.noise_prob:
        low, high = config.noise_snr_db
        power = float(np.mean(wave**2)) / 10 ** ((low + (high - low) * snr) / 10)
        wave += np.float32(np.sqrt(power)) * rng.standard_normal(len(wave), dtype=np.float32)
    return np.clip(wave, -1, 1, out=wave)


def augment_video(frames: NDArray[np.uint8], config: AugmentSettings, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Crop, mirror, brightness and contrast, repeated frames; the same for all frames of a clip, [F,S,S,3]."""
    size = frames.shape[1]
    flip, brightness, contrast, *cuts = rng.random(7)
    top, bottom, left, right = (config.crop_fraction * size * cut for cut in cuts)
    rows = _stretch(top, size - bottom, size)
    columns = _stretch(left, size - right, size)
    if flip < config.flip_prob:
        columns = columns[::-1]
    chosen = np.arange(len(frames))
    dropped = rng.random(len(frames)) < config.frame_drop_prob
    dropped[0] = False
    chosen = np.maximum.accumulate(np.where(dropped, 0, chosen))
    frames = frames[chosen[:, None, None], rows[:, None], columns]
    if config.colour:
        scale, shift = 1 + config.colour * (2 * contrast - 1), 255 * config.colour * (brightness - 0.5)
        table = np.clip((np.arange(256) - 127.5) * scale + 127.5 + shift, 0, 255).astype(np.uint8)
        frames = table[frames]
    return frames


def drop_tokens(
    ids: NDArray[Any], droppable: NDArray[np.bool_], fill: int, probability: float, rng: np.random.Generator
) -> None:
    """Replace tokens in place by `fill`; [L], only where `droppable`."""
    ids[droppable & (rng.random(len(ids)) < probability)] = fill


def _stretch(start: float, stop: float, size: int) -> NDArray[np.int64]:
    """Nearest source row of each of `size` rows when [start, stop) is blown up to the full height."""
    centres = start + (np.arange(size) + 0.5) * (stop - start) / size
    return np.clip(centres.astype(np.int64), 0, size - 1)
