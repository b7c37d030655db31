"""Predictions that are made up, of models whose accuracy is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dual_hpc.data.format.sample import Utterance
from dual_hpc.evaluation.prediction_set import PredictionSet
from dual_hpc.evaluation.predictions import Predictions

CLASSES = ("angry", "happy", "neutral", "sad")


def corpus(dialogues: int = 40, turns: int = 12, fold: int = 5) -> dict[str, Utterance]:
    """Utterances of two speakers per dialogue, four speakers in all."""
    made = {}
    for d in range(dialogues):
        for turn in range(turns):
            key = f"f{fold}d{d:03d}u{turn:03d}"
            speaker = f"s{2 * (d % 2) + turn % 2}"
            made[key] = Utterance(
                key=key, corpus="made", session=fold, dialogue=f"d{d}", utterance=turn, speaker=speaker, duration=1.0
            )
    return made


def predictions(
    utterances: Mapping[str, Utterance],
    accuracy: Mapping[str, float],
    seed: int = 0,
    chance: int = 0,
    about: Mapping[str, Any] | None = None,
) -> PredictionSet:
    """Answers that are right with a probability by condition, else another class.

    Args:
        seed: of the truth, which models of the same test share.
        chance: of the model's own draws.
    """
    truth = np.random.default_rng(seed).integers(0, len(CLASSES), len(utterances))
    rng = np.random.default_rng([seed, chance])
    found = {}
    for name, share in accuracy.items():
        right = rng.random(len(truth)) < share
        answers = np.where(right, truth, (truth + rng.integers(1, len(CLASSES), len(truth))) % len(CLASSES))
        found[name] = Predictions(list(utterances), truth, np.eye(len(CLASSES), dtype=np.float32)[answers])
    facts = {"protocol": "made4", "split": "test", "test_fold": 5, "seed": chance, "reads": "avt", **(about or {})}
    subsets: Sequence[str] = [name for name in accuracy if " " not in name]
    controls = {name: "avt" for name in accuracy if " " in name}
    return PredictionSet(facts, CLASSES, [1] * len(CLASSES), utterances, found, subsets, controls)
