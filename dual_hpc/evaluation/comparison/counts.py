"""What the predictions of one run come to, by dialogue: sums of it under any weights give every measure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dual_hpc.evaluation.metrics.metric import Array
from dual_hpc.evaluation.predictions import Predictions
from dual_hpc.evaluation.protocols import dialogue_of, speaker_of
from dual_hpc.modality import ALL_MODALITIES

if TYPE_CHECKING:
    from dual_hpc.evaluation.prediction_set import PredictionSet

SUBSETS = ("av", "avt")
MISLEADING = "mismatched text"
FEW = 10  # utterances of a speaker, below which his score says nothing


@dataclass(frozen=True)
class Counts:
    """Counts by dialogue, float64 so that weighted sums are one product of matrices.

    Attributes:
        dialogues: their names, D of them.
        confusion: subset -> [D, C, C], rows are the truth.
        speakers: subset -> [D, S, C, C], of the speakers with at least `FEW` utterances.
        turned: [D, 2]: answers that misleading text changes, and utterances that it was given to; None where that is
            not known. A model that reads no text has no changed ones.
        misled: [D, C, C], the answers to misleading text; None where `turned` is. Of a model that reads no text they
            are those to its own.
    """

    dialogues: Sequence[str]
    confusion: Mapping[str, Array]
    speakers: Mapping[str, Array]
    turned: Array | None
    misled: Array | None = None


def counts_of(predictions: PredictionSet, subsets: Sequence[str] = SUBSETS) -> Counts:
    """Count the predictions of one run on one test split."""
    metas, found = predictions.utterances, predictions.found
    dialogue = {key: dialogue_of(meta) for key, meta in metas.items()}
    dialogues = sorted(set(dialogue.values()))
    place = {name: number for number, name in enumerate(dialogues)}
    often = Counter(speaker_of(meta) for meta in metas.values())
    heard = sorted(name for name, count in often.items() if count >= FEW)
    number = {name: n for n, name in enumerate(heard)}
    classes = len(predictions.classes)

    def confusion_of(one: Predictions) -> Array:
        matrices = np.zeros((len(dialogues), classes, classes))
        rows = np.array([place[dialogue[key]] for key in one.keys], np.int64)
        np.add.at(matrices, (rows, one.truth, one.answers), 1)
        return matrices

    confusion, speakers = {}, {}
    for subset in (name for name in subsets if name in found):
        one = found[subset]
        rows = np.array([place[dialogue[key]] for key in one.keys])
        confusion[subset] = confusion_of(one)
        who = np.array([number.get(speaker_of(metas[key]), -1) for key in one.keys])
        kept = who >= 0
        speakers[subset] = np.zeros((len(dialogues), len(heard), classes, classes))
        np.add.at(speakers[subset], (rows[kept], who[kept], one.truth[kept], one.answers[kept]), 1)
    turned = _turned(predictions, dialogue, place)
    shown = found.get(MISLEADING if _reads_text(predictions) else "avt")
    misled = None if turned is None or shown is None else confusion_of(shown)
    return Counts(dialogues, confusion, speakers, turned, misled)


def _reads_text(predictions: PredictionSet) -> bool:
    return "t" in predictions.about.get("reads", ALL_MODALITIES)


def _turned(predictions: PredictionSet, dialogue: Mapping[str, str], place: Mapping[str, int]) -> Array | None:
    found = predictions.found
    turned = np.zeros((len(place), 2))
    if not _reads_text(predictions):
        turned[:, 1] = 1
        return turned
    if MISLEADING not in found or "avt" not in found or not found[MISLEADING].keys:
        return None
    own, misled = _answers(found["avt"]), _answers(found[MISLEADING])
    for key, answer in misled.items():
        turned[place[dialogue[key]]] += (answer != own[key], 1)
    return turned


def _answers(predictions: Predictions) -> dict[str, int]:
    return dict(zip(predictions.keys, predictions.answers.tolist(), strict=True))
