"""Synthetic raters: features from which a planted distribution over classes and planted dimensions follow.

Five raters draw their label from the distribution, and say each dimension with an error of their own. The label of an
utterance is the majority's, its dimensions are the raters' means: a training sees these, and scores are against what is
planted. Utterances without a majority are left out, as `target: class` would do.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shards.foreign_features import declared, pack_features

CLASSES, WIDTH, RATERS = 4, 16, 5
STEPS, HZ = 4, 4  # vectors of an utterance, and per second
DIMENSIONS = ("valence", "arousal", "dominance")
SHARPNESS = 1.5  # of the planted distributions: 0 would be even, 10 nearly certain
NOISE = 0.2  # of a feature, whose own deviation is 1
RATER_ERROR = 0.8  # deviation of a rater's answer; the planted values have deviation 0.8 about the scale's middle

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Planted:
    """Shards, and what is planted in their samples, by key."""

    shards: Path
    distributions: dict[str, Rows]
    dimensions: dict[str, Rows]
    floor: float  # mean JSD in bits between the votes of the test part and what is planted


def prepare(folder: Path, seed: int, sizes: dict[str, int]) -> Planted:
    """The shards of a seed, made if they are not there.

    Args:
        sizes: split -> utterances that are drawn.
    """
    rng = np.random.default_rng(1000 + seed)
    to_classes = rng.normal(size=(WIDTH, CLASSES)) / np.sqrt(WIDTH) * 1.5
    to_dimensions = rng.normal(size=(WIDTH, len(DIMENSIONS))) / np.sqrt(WIDTH)
    distributions: dict[str, Rows] = {}
    dimensions: dict[str, Rows] = {}
    rows, floors = [], []
    arrays = folder / "arrays"
    arrays.mkdir(parents=True, exist_ok=True)
    for split, count in sizes.items():
        for number in range(count):
            latent = rng.normal(size=WIDTH)
            shares = _softmax(SHARPNESS * latent @ to_classes)
            values = 3 + 0.8 * latent @ to_dimensions
            drawn = rng.choice(CLASSES, RATERS, p=shares)
            answers = np.clip(values + rng.normal(0, RATER_ERROR, (RATERS, len(DIMENSIONS))), 1, 5)
            features = (latent + rng.normal(0, NOISE, (STEPS, WIDTH))).astype(np.float32)
            counts = np.bincount(drawn, minlength=CLASSES)
            if (counts == counts.max()).sum() > 1:
                continue
            key = f"{split}_{number:05d}"
            distributions[key], dimensions[key] = shares, values
            if split == "test":
                floors.append(float(_divergence(counts / RATERS, shares)))
            np.save(arrays / f"{key}.npy", features)
            rows.append(_row(key, split, int(counts.argmax()), drawn, answers))
    if not (folder / "shards" / "index.json").exists():
        (folder / "planted.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
        pack_features(folder / "planted.jsonl", folder / "shards", declared([f"audio={WIDTH}@{HZ}"]), "planted")
    return Planted(folder / "shards", distributions, dimensions, float(np.mean(floors)))


def protocol(target: str) -> str:
    """The YAML of a protocol on these shards: `class`, `soft` or `regression`, the last on the dimensions alone."""
    names = [f"c{number}" for number in range(CLASSES)]
    classes = f"any: [{', '.join(names)}]" if target == "regression" else ", ".join(f"{one}: [{one}]" for one in names)
    return f"name: planted-{target}\nclasses: {{{classes}}}\nfolds: {{own: true}}\ntarget: {target}\n"


def _row(key: str, split: str, label: int, drawn: NDArray[np.int64], answers: Rows) -> dict[str, object]:
    said = zip(drawn.tolist(), answers.tolist(), strict=True)
    votes = [
        {"rater": f"r{n}", "labels": [f"c{one}"], **dict(zip(DIMENSIONS, values, strict=True))}
        for n, (one, values) in enumerate(said)
    ]
    means = dict(zip(DIMENSIONS, np.round(answers.mean(axis=0), 4).tolist(), strict=True))
    where = {"audio": f"arrays/{key}.npy", "duration": STEPS / HZ, "speaker": "unknown"}
    return {"id": key, "label": f"c{label}", "split": split, "votes": votes, **means, **where}


def _softmax(logits: Rows) -> Rows:
    exponents = np.exp(logits - logits.max())
    return exponents / exponents.sum()


def _divergence(one: Rows, other: Rows) -> Rows:
    from dual_hpc.evaluation.votes import js_divergence

    return js_divergence(one[None], other[None])[0]
