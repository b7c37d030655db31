"""What an answer rests on: the share of each modality, the most telling moments and words, the attention to each word,
and how alike sound and picture are.

A modality is worth what the probability of the answer gains by it: `left_out` beside all others, `shapley` on average
over the orders in which the modalities could be added. A moment is worth what the probability loses when the sound is
silent and the pictures are grey there; a word what it loses when its tokens are replaced by "unknown".
Attention is what the model does, not why it answers so: a word may be looked at and change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from dual_hpc.data.modality_mask import mask_except
from dual_hpc.data.tokenize import filler
from dual_hpc.inference.words import words_of
from dual_hpc.modality import Modality
from dual_hpc.model.family import FAMILIES

if TYPE_CHECKING:
    from dual_hpc.inference.predictor import Predictor
    from dual_hpc.inference.preparation import Prepared

DIGITS = 4
_WINDOW = 0.5  # seconds that are hidden at a time, or more of a long clip
_MOST_WINDOWS = 40
_TELLING = 3  # moments that are named
_GREY = 127
_BATCH = 8


@dataclass(frozen=True)
class Moment:
    """`loss`: what the probability of the answer loses without these seconds; negative: they spoke against it."""

    start: float
    end: float
    loss: float


@dataclass(frozen=True)
class WordShare:
    """Of one word, or of neighbours in a long text.

    Attributes:
        attention: how much of the model's attention goes to its tokens, 0 to 1; None of models that have none to text.
        loss: what the probability of the answer loses without it; None where the tokenizer has no token for "unknown".
    """

    word: str
    attention: float | None = None
    loss: float | None = None


@dataclass(frozen=True)
class Explanation:
    """Of one answer.

    Attributes:
        label: the answer, whose probability all numbers are about.
        subsets: letters of the modalities shown -> the probability; "" is what the model says of nothing.
        moments: windows in the order of time.
        matrices: name -> cosines of audio step i (row) and video step j, f32 [T, T].
        words: in the order of the text.
    """

    label: str
    subsets: Mapping[str, float]
    moments: Sequence[Moment] = ()
    matrices: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    words: Sequence[WordShare] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        telling = sorted(self.moments, key=lambda moment: -moment.loss)[:_TELLING]
        words = [
            {"word": one.word, "attention": _rounded(one.attention), "loss": _rounded(one.loss)} for one in self.words
        ]
        return {
            "label": self.label,
            "shown": {letters or "nothing": round(p, DIGITS) for letters, p in self.subsets.items()},
            "left_out": {name: round(value, DIGITS) for name, value in left_out(self.subsets).items()},
            "shapley": {name: round(value, DIGITS) for name, value in shapley(self.subsets).items()},
            "moments": [
                {"start": one.start, "end": one.end, "loss": round(one.loss, DIGITS)} for one in telling if one.loss > 0
            ],
            **({"words": words} if words else {}),
        }


def left_out(subsets: Mapping[str, float]) -> dict[str, float]:
    """Modality -> what all are worth more than all others without it."""
    every = max(subsets, key=len)
    return {_name(letter): subsets[every] - subsets[every.replace(letter, "")] for letter in every}


def shapley(subsets: Mapping[str, float]) -> dict[str, float]:
    """Modality -> its Shapley value; their sum is what all are worth more than nothing.

    Args:
        subsets: letters in the order "avt" -> value, of every subset of the modalities that are there.
    """
    every = max(subsets, key=len)
    found = {}
    for letter in every:
        others = every.replace(letter, "")
        total = 0.0
        for size in range(len(others) + 1):
            weight = math.factorial(size) * math.factorial(len(others) - size) / math.factorial(len(every))
            for chosen in map("".join, combinations(others, size)):
                joined = "".join(one for one in every if one in chosen or one == letter)
                total += weight * (subsets[joined] - subsets[chosen])
        found[_name(letter)] = total
    return found


def explain(predictor: Predictor, prepared: Prepared, label: str, begin: float = 0.0) -> Explanation:
    """Ask the model again with parts hidden: at most 8 + 40 + 40 times.

    Args:
        label: of its answer to the whole.
        begin: seconds of the file where the clip begins, from which moments are counted.
    """
    batch = predictor.tensors([prepared])
    place = predictor.labels.index(label)
    letters = "".join(one.letter for one in Modality if one in prepared.present & predictor.reads)
    names = [*("".join(part) for size in range(len(letters) + 1) for part in combinations(letters, size))]
    values = _probabilities(predictor, [mask_except(batch, name) for name in names], place)
    subsets = dict(zip(names, values, strict=True))
    spans = list(windows(prepared.sample.duration)) if set(letters) & {"a", "v"} else []
    hidden = _probabilities(predictor, [_without(predictor, batch, start, end) for start, end in spans], place)
    moments = [
        Moment(round(begin + start, 3), round(begin + end, 3), subsets[letters] - p)
        for (start, end), p in zip(spans, hidden, strict=True)
    ]
    matrices, attention = _looked(predictor, batch)
    words = _words(predictor, prepared.sample.text, batch, place, subsets[letters], attention) if "t" in letters else ()
    return Explanation(label, subsets, moments, matrices, words)


def windows(seconds: float) -> Iterator[tuple[float, float]]:
    """(start, end) of what is hidden: half-overlapping, at most `_MOST_WINDOWS`, the last one ends with the clip."""
    size = max(_WINDOW, 2 * seconds / (_MOST_WINDOWS + 1))
    for number in range(max(1, math.ceil(2 * seconds / size - 1 - 1e-6))):
        yield round(number * size / 2, 3), round(min(number * size / 2 + size, seconds), 3)


def _without(predictor: Predictor, batch: Mapping[str, torch.Tensor], start: float, end: float) -> dict[str, Any]:
    found = dict(batch)
    if (wave := found.get("waveform")) is not None:
        rate = predictor.preprocessing.sample_rate
        found["waveform"] = wave.clone()
        found["waveform"][:, round(start * rate) : round(end * rate)] = 0.0
    if (frames := found.get("frames")) is not None:
        shown = (torch.arange(frames.shape[1], device=frames.device) + 0.5) / predictor.preprocessing.video_hz
        found["frames"] = frames.clone()
        found["frames"][:, (shown >= start) & (shown < end)] = _GREY
    return found


def _probabilities(predictor: Predictor, batches: Sequence[Mapping[str, torch.Tensor]], place: int) -> list[float]:
    """Of one class, for each of these batches of one clip."""
    found: list[float] = []
    for first in range(0, len(batches), _BATCH):
        some = batches[first : first + _BATCH]
        joined = {name: torch.cat([one[name] for one in some]) for name in some[0]}
        with torch.inference_mode():
            found += predictor.model(**joined).logits.float().softmax(-1)[:, place].tolist()
    return found


def _looked(
    predictor: Predictor, batch: Mapping[str, torch.Tensor]
) -> tuple[dict[str, NDArray[np.float32]], list[float] | None]:
    """The matrices, and the attention to each token."""
    family = FAMILIES.get(predictor.model.config.model_type)
    asked = {"output_alignment": bool(family.matrices), "output_text_attention": family.attends_to_text}
    if not any(asked.values()):
        return {}, None
    with torch.inference_mode():
        output = predictor.model(**batch, **{name: True for name, wanted in asked.items() if wanted})
    found = {name: getattr(output, name, None) for name in family.matrices}
    steps = int(output.mask[0].sum()) if found else 0
    matrices = {name: one[0, :steps, :steps].float().cpu().numpy() for name, one in found.items() if one is not None}
    attention = getattr(output, "text_attention", None) if family.attends_to_text else None
    return matrices, None if attention is None else attention[0].tolist()


def _words(
    predictor: Predictor,
    text: str | None,
    batch: Mapping[str, torch.Tensor],
    place: int,
    whole: float,
    attention: Sequence[float] | None,
) -> list[WordShare]:
    """`whole`: the probability of the answer with every word."""
    words = words_of(text or "", predictor.tokenizer, predictor.preprocessing.max_tokens, _MOST_WINDOWS)
    looked = [None if attention is None else sum(attention[token] for token in word.places) for word in words]
    losses: Sequence[float | None] = [None] * len(words)
    if (unknown := filler(predictor.tokenizer)) is not None:
        hidden = [{**batch, "input_ids": batch["input_ids"].clone()} for _ in words]
        for one, word in zip(hidden, words, strict=True):
            one["input_ids"][:, list(word.places)] = unknown
        losses = [whole - p for p in _probabilities(predictor, hidden, place)]
    return [WordShare(word.text, *shares) for word, *shares in zip(words, looked, losses, strict=True)]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)


def _name(letter: str) -> str:
    return next(str(one) for one in Modality if one.letter == letter)
