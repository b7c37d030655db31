"""One contiguous part of an utterance is gone: silence in its sound, grey pictures, missing words.

Where it lies is drawn once per utterance, for all modalities alike, and what is gone at one rate is gone at every
higher one. Dropped frames and word errors are the like at random places.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from dual_hpc.data.tokenize import tokenize
from dual_hpc.evaluation.perturbations.perturbation import Perturbation
from dual_hpc.evaluation.perturbations.rng import rng_for
from dual_hpc.evaluation.perturbations.word_errors import text_of

_GREY = 128
_RATES = (10.0, 30.0, 50.0, 70.0, 90.0)


def span(size: int, rate: float, seed: int, key: str) -> tuple[int, int]:
    """First and last (exclusive) of `rate` of `size` steps, growing to both sides of a drawn place."""
    first = rng_for(seed, "contiguous erasure", key).random() * (1 - rate) * size
    return round(first), min(size, round(first + rate * size))


def erase_audio(batch: Mapping[str, Any], rate: float, seed: int) -> dict[str, Any]:
    """A part of the waveform is silent."""
    waveform = batch["waveform"].clone()
    for row, (key, length) in enumerate(zip(batch["keys"], batch["waveform_lengths"].tolist(), strict=True)):
        first, last = span(length, rate, seed, key)
        waveform[row, first:last] = 0
    return {**batch, "waveform": waveform}


def erase_video(batch: Mapping[str, Any], rate: float, seed: int) -> dict[str, Any]:
    """A part of the frames is grey."""
    frames = batch["frames"].clone()
    for row, (key, length) in enumerate(zip(batch["keys"], batch["frame_lengths"].tolist(), strict=True)):
        first, last = span(length, rate, seed, key)
        frames[row, first:last] = _GREY
    return {**batch, "frames": frames}


def erase_words(batch: Mapping[str, Any], rate: float, seed: int, tokenizer: Any, max_tokens: int) -> dict[str, Any]:
    """A part of the words is missing; a transcript of which nothing is left counts as missing."""
    texts = []
    rows = zip(batch["keys"], batch["input_ids"].numpy(), batch["attention_mask"].numpy(), strict=True)
    for key, ids, mask in rows:
        words = (text_of(ids[mask > 0], tokenizer) or "").split()
        first, last = span(len(words), rate, seed, key)
        texts.append(" ".join(words[:first] + words[last:]) or None)
    arrays = tokenize(texts, tokenizer, max_tokens)
    return {**batch, **{name: torch.from_numpy(array) for name, array in arrays.items()}}


ERASED_AUDIO = Perturbation(
    "erased audio",
    "a",
    "% of the sound, in one piece",
    _RATES,
    apply=lambda batch, level, context: erase_audio(batch, level / 100, context.seed),
)
ERASED_VIDEO = Perturbation(
    "erased video",
    "v",
    "% of the frames, in one piece",
    _RATES,
    apply=lambda batch, level, context: erase_video(batch, level / 100, context.seed),
)
ERASED_TEXT = Perturbation(
    "erased text",
    "t",
    "% of the words, in one piece",
    _RATES,
    ("t", "avt"),
    apply=lambda batch, level, context: erase_words(
        batch, level / 100, context.seed, context.tokenizer, context.max_tokens
    ),
)
