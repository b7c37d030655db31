"""What is left of a model's scores as its inputs get worse, all from one set of weights (`EVALUATION`).

Noise, shifts, spoilt pictures and word errors change what the model is shown; a modality missing from a share of the
utterances needs no further answers: those of the model without it stand in for that share. Every draw hangs on the
seed, which is stored with the result. Misleading text and the wrong speaker's video are `controls`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from dual_hpc.data.modality_mask import mask_except
from dual_hpc.evaluation.metrics import Scores, scores
from dual_hpc.evaluation.perturbations.audio_shift import with_late_sound
from dual_hpc.evaluation.perturbations.dropped_frames import with_lost_pictures
from dual_hpc.evaluation.perturbations.noise import with_babble, with_white_noise
from dual_hpc.evaluation.perturbations.occlusion import with_blur, with_occlusion
from dual_hpc.evaluation.perturbations.recorded_noise import Recordings, with_recorded_noise
from dual_hpc.evaluation.perturbations.rng import of_utterance
from dual_hpc.evaluation.perturbations.word_errors import with_word_errors
from dual_hpc.evaluation.predictions import Batch, Predictions, View

_NAMES = {"a": "audio", "v": "video", "t": "text"}


@dataclass(frozen=True)
class Disturbance:
    """One way to spoil a modality.

    Attributes:
        modality: a, v or t; several where it takes all of them to notice.
        unit: of the levels, as a reader sees it.
        levels: from mild to severe.
        shown: the subsets of modalities that are scored under it.
    """

    name: str
    modality: str
    unit: str
    levels: tuple[float, ...]
    shown: tuple[str, ...]


@dataclass(frozen=True)
class Curve:
    """Scores of one subset of modalities under one disturbance: undisturbed, and by level."""

    disturbance: Disturbance
    shown: str
    clean: Scores
    points: Mapping[float, Scores]


@dataclass(frozen=True)
class Robustness:
    """All curves of one evaluation, and the seed of their draws."""

    seed: int
    curves: Sequence[Curve] = field(default_factory=tuple)

    def to_json(self) -> dict[str, Any]:
        """Plain data: the headline scores of every point."""
        return {
            "seed": self.seed,
            "curves": [
                {
                    "disturbance": curve.disturbance.name,
                    "unit": curve.disturbance.unit,
                    "shown": curve.shown,
                    "clean": curve.clean.main(),
                    "points": [{"level": level, **found.main()} for level, found in curve.points.items()],
                }
                for curve in self.curves
            ],
        }


_RATIOS = (20.0, 10.0, 5.0, 0.0, -5.0)
RECORDED = "recorded noise"  # where the user has some
_SHIFTS = (80.0, 160.0, 320.0, 640.0)
CHANGES = (
    Disturbance("white noise", "a", "dB SNR", _RATIOS, ("av", "avt")),
    Disturbance("babble", "a", "dB SNR", _RATIOS, ("av", "avt")),
    Disturbance(RECORDED, "a", "dB SNR", _RATIOS, ("av", "avt")),
    Disturbance("lost pictures", "v", "% of the pictures", (25.0, 50.0, 75.0, 90.0), ("av", "avt")),
    Disturbance("occlusion", "v", "% of the area", (10.0, 25.0, 50.0, 75.0), ("av", "avt")),
    Disturbance("blur", "v", "% of the width", (2.0, 5.0, 10.0, 20.0), ("av", "avt")),
    Disturbance("late sound", "av", "ms", _SHIFTS, ("av", "avt")),
    Disturbance("early sound", "av", "ms", _SHIFTS, ("av", "avt")),
    Disturbance("word errors", "t", "% of the words", (10.0, 20.0, 30.0, 40.0, 50.0, 60.0), ("t", "avt")),
)
_SHARES = tuple(float(share) for share in range(10, 101, 10))
ABSENCES = tuple(
    Disturbance(f"{name} missing", letter, "% of the utterances", _SHARES, shown)
    for letter, name, shown in (("a", "audio", ("av", "avt")), ("v", "video", ("av", "avt")), ("t", "text", ("avt",)))
)


class Suite:
    """The disturbances that apply to a model and its data: what to ask of the model, and what became of it.

    Args:
        able: of a, v and t, what the model reads and the utterances have.
        media: whether batches hold media; of features only whole modalities can be taken away.
        recordings: of noise; None leaves that disturbance out.
    """

    def __init__(
        self,
        seed: int,
        able: Collection[str],
        media: bool,
        tokenizer: Any,
        max_tokens: int,
        recordings: Recordings | None = None,
    ) -> None:
        self.seed = seed
        self._able = able
        self._change = {
            "white noise": lambda batch, level: with_white_noise(batch, level, seed),
            "babble": lambda batch, level: with_babble(batch, level),
            "lost pictures": lambda batch, level: with_lost_pictures(batch, level / 100, seed),
            "occlusion": lambda batch, level: with_occlusion(batch, level / 100, seed),
            "blur": lambda batch, level: with_blur(batch, level / 100),
            "late sound": lambda batch, level: with_late_sound(batch, level),
            "early sound": lambda batch, level: with_late_sound(batch, -level),
            "word errors": lambda batch, level: with_word_errors(batch, level / 100, seed, tokenizer, max_tokens),
        }
        if recordings is not None:
            self._change[RECORDED] = lambda batch, level: with_recorded_noise(batch, level, seed, recordings)
        there = [one for one in CHANGES if media and one.name in self._change]
        self._changes = [one for one in there if set(one.modality) <= set(able)]
        self._absences = [one for one in ABSENCES if one.modality in able and len(able) > 1]

    def views(self) -> dict[str, View]:
        """Everything that the curves rest on, by name."""
        plain = {subset for one in (*self._changes, *self._absences) for subset in self._shown(one)}
        plain |= {_without(subset, one.modality) for one in self._absences for subset in self._shown(one)}
        views: dict[str, View] = {subset: partial(mask_except, subset=subset) for subset in sorted(plain)}
        for one in self._changes:
            for level in one.levels:
                for subset in self._shown(one):
                    views[_name(one, level, subset)] = partial(self._disturbed, one=one, level=level, subset=subset)
        return views

    def result(self, found: Mapping[str, Predictions], n_classes: int) -> Robustness:
        """The curves, from the answers to the `views`."""
        curves = []
        for one in (*self._changes, *self._absences):
            for subset in self._shown(one):
                answers = {level: self._answers(one, level, subset, found) for level in one.levels}
                points = {level: scores(given.truth, given.answers, n_classes) for level, given in answers.items()}
                own = found[subset]
                curves.append(Curve(one, subset, scores(own.truth, own.answers, n_classes), points))
        return Robustness(self.seed, tuple(curves))

    def _shown(self, one: Disturbance) -> list[str]:
        """Its subsets, once each as the model sees them, of which something is left when the modality is taken away."""
        seen = {"".join(letter for letter in subset if letter in self._able): subset for subset in reversed(one.shown)}
        kept = [subset for letters, subset in seen.items() if one not in ABSENCES or _without(letters, one.modality)]
        return kept[::-1]

    def _disturbed(self, batch: Batch, one: Disturbance, level: float, subset: str) -> Batch:
        return mask_except(self._change[one.name](batch, level), subset)

    def _answers(self, one: Disturbance, level: float, subset: str, found: Mapping[str, Predictions]) -> Predictions:
        if one not in ABSENCES:
            return found[_name(one, level, subset)]
        return mixed(found[subset], found[_without(subset, one.modality)], level / 100, self.seed, one.name)


def mixed(own: Predictions, without: Predictions, share: float, seed: int, purpose: str) -> Predictions:
    """`own` answers, but `without` for a share of the utterances; who lacks it at one share does at every higher."""
    lacking = np.array([of_utterance(seed, purpose, key).random() < share for key in own.keys], dtype=bool)
    return Predictions(own.keys, own.truth, np.where(lacking[:, None], without.probabilities, own.probabilities))


def _without(subset: str, modality: str) -> str:
    return subset.replace(modality, "")


def _name(one: Disturbance, level: float, subset: str) -> str:
    return f"{one.name} {level:g} {subset}"
