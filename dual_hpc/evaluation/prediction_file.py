"""Predictions as a file of JSON lines, from which every number of a report is computed again.

The first line says what was evaluated; each other line is one utterance, in the order of the keys:

    {"format": 1, "about": {"run": ..., "protocol": ..., "split": ..., "dataset": ...}, "classes": [...], ...}
    {"key": ..., "corpus": ..., "dialogue": ..., "speaker": ..., "label": "sad", "predictions": {"av": [0.1, ...], ...}}

`predictions` has, by condition, one probability per class, in the order of `classes`; a condition that does not apply
to an utterance is left out. With `dimensions` (valence ...) in the first line, `dimensions` has the corpus's values
and `values` the answers, by condition. Probabilities are written as the shortest decimals that are the same float32.
`pandas.read_json(path, lines=True)[1:]` reads the utterances.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dual_hpc.config.validation_errors import first_reason
from dual_hpc.data.format.sample import Utterance
from dual_hpc.errors import UserError
from dual_hpc.evaluation.perturbations.suite import PlannedCurve
from dual_hpc.evaluation.prediction_set import TEXT_ALONE, PredictionSet, RobustnessPlan
from dual_hpc.evaluation.predictions import Predictions, shortest_decimals
from dual_hpc.files.atomic import write_atomically
from dual_hpc.files.regular_file import LARGE, read_bytes

FORMAT = 1
ENDING = "_predictions.jsonl"
_PRESENT = ("has_audio", "has_video", "has_text")  # written where an utterance lacks it
_UTTERANCE = (
    *("key", "corpus", "split", "session", "dialogue", "utterance", "speaker", "scripted", "duration", "attributes"),
    *_PRESENT,
)


class _Written(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Robustness(_Written):
    seed: int
    curves: list[dict[str, Any]]
    subsets: list[str] = Field(default_factory=list)


class _Header(_Written):
    """The first line; `utterances` is how many lines follow."""

    format: int
    about: dict[str, Any]
    classes: list[str] = Field(min_length=1)
    class_counts: list[Annotated[int, Field(ge=0, le=1 << 40)]]
    subsets: list[str] = Field(min_length=1)
    controls: dict[str, str] = Field(default_factory=dict)
    text_alone: bool = False
    fingerprint: str | None = None
    robustness: _Robustness | None = None
    conditions: list[str] = Field(min_length=1)
    dimensions: list[str] = Field(default_factory=list)
    utterances: int = Field(ge=1)


class _Row(_Written):
    key: str
    corpus: str
    split: str | None = None
    session: int | None = None
    dialogue: str
    utterance: int = 0
    speaker: str
    scripted: bool | None = None
    duration: float = 1.0
    attributes: dict[str, str] | None = None
    has_audio: bool = True
    has_video: bool = True
    has_text: bool = True
    votes: list[float] | None = None
    dimensions: list[float | None] | None = None
    label: str
    predictions: dict[str, list[float]]
    values: dict[str, list[float]] = Field(default_factory=dict)


def write_predictions(path: Path, predictions: PredictionSet) -> None:
    """Write the file; it appears complete or not at all, and is the same bytes for the same predictions."""
    write_atomically(path, "".join(f"{line}\n" for line in _lines(predictions)))


def read_predictions(path: Path) -> PredictionSet:
    """What was written.

    Raises:
        UserError: it cannot be read, is not such a file, or a part of it is missing.
    """
    try:
        first, *lines = read_bytes(path, LARGE).splitlines() or [b""]
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    try:
        header = _Header.model_validate_json(first)
        rows = [_Row.model_validate_json(line) for line in lines]
        if header.format != FORMAT:
            raise ValueError(f"it has format {header.format}, this version reads {FORMAT}")
        if len(header.class_counts) != len(header.classes) or not sum(header.class_counts):
            raise ValueError("class_counts does not count the classes")
        if not all(isinstance(header.about.get(name, ""), str) for name in ("split", "reads", "protocol")):
            raise ValueError("about: split, reads and protocol are words")
        if type(header.about.get("seed")) not in (int, type(None)):
            raise ValueError("about: seed is a whole number")
        if type(header.about.get("test_fold")) not in (int, str, type(None)):
            raise ValueError("about: test_fold is a number or a word")
        if len(set(header.classes)) != len(header.classes):
            raise ValueError("classes: one is named twice")
        if any(row.votes is not None and not _are_shares(row.votes, len(header.classes)) for row in rows):
            raise ValueError("votes: one share of each class, which sum to 1")
        if any(row.dimensions is not None and len(row.dimensions) != len(header.dimensions) for row in rows):
            raise ValueError("dimensions: one value, or null, of each")
        if len(rows) != header.utterances or len({row.key for row in rows}) != len(rows):
            raise ValueError(f"it has {len(rows)} utterances instead of {header.utterances}, or one twice")
        return _predictions(header, rows)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = first_reason(error) if isinstance(error, ValidationError) else str(error)[:160]
        raise UserError(f"{path} is not a whole file of predictions ({reason}); evaluate again to write it") from error


def _are_shares(votes: list[float], classes: int) -> bool:
    return len(votes) == classes and min(votes) >= 0 and abs(sum(votes) - 1) < 1e-3


def _lines(predictions: PredictionSet) -> Iterable[str]:
    keys = sorted({key for one in predictions.found.values() for key in one.keys})
    plan = predictions.robustness
    suite = {}
    if plan is not None:
        curves = [curve.to_json() for curve in plan.curves]
        suite = {"seed": plan.seed, "subsets": list(plan.subsets), "curves": curves}
    yield _json(
        {
            "format": FORMAT,
            "about": dict(predictions.about),
            "classes": list(predictions.classes),
            "class_counts": [int(count) for count in predictions.class_counts],
            "subsets": list(predictions.subsets),
            "controls": dict(predictions.controls),
            "text_alone": predictions.text_alone,
            **({"fingerprint": predictions.fingerprint} if predictions.fingerprint else {}),
            **({"robustness": suite} if suite else {}),
            "conditions": list(predictions.found),
            "utterances": len(keys),
            **({"dimensions": list(predictions.dimension_names)} if predictions.dimension_names else {}),
        }
    )
    places = {name: {key: row for row, key in enumerate(one.keys)} for name, one in predictions.found.items()}
    for key in keys:
        given = {name: place[key] for name, place in places.items() if key in place}
        (label,) = {int(predictions.found[name].truth[row]) for name, row in given.items()}
        meta = predictions.utterances[key].model_dump(include=set(_UTTERANCE))
        said = {name: meta[name] for name in _UTTERANCE if meta[name] is not None}
        known = {name: value for name, value in said.items() if name not in _PRESENT or not value}
        answers = {name: shortest_decimals(predictions.found[name].probabilities[row]) for name, row in given.items()}
        if (votes := predictions.votes.get(key)) is not None:
            known["votes"] = list(votes)
        if (truth := predictions.dimensions.get(key)) is not None:
            known["dimensions"] = list(truth)
        values = {
            name: shortest_decimals(rows[row])
            for name, row in given.items()
            if (rows := predictions.found[name].dimensions) is not None
        }
        written = {**known, "label": predictions.classes[label], "predictions": answers}
        yield _json({**written, **({"values": values} if values else {})})


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(", ", ": "))


def _plan(written: _Robustness) -> RobustnessPlan:
    return RobustnessPlan(written.seed, [PlannedCurve.from_json(one) for one in written.curves], written.subsets)


def _predictions(header: _Header, rows: list[_Row]) -> PredictionSet:
    numbers = {name: number for number, name in enumerate(header.classes)}
    found = {}
    for name in header.conditions:
        having = [row for row in rows if name in row.predictions]
        shares = [row.predictions[name] for row in having]
        probabilities = np.array(shares, np.float32).reshape(len(having), len(header.classes))
        if not np.isfinite(probabilities).all():
            raise ValueError(f"the probabilities of {name} are not numbers")
        truth = np.array([numbers[row.label] for row in having], np.int64)
        found[name] = Predictions([row.key for row in having], truth, probabilities, _values(header, having, name))
    plan = header.robustness
    named = {*header.subsets, *header.controls, *header.controls.values(), *([TEXT_ALONE] * header.text_alone)}
    named |= set() if plan is None else set(plan.subsets)
    if missing := named - found.keys():
        raise ValueError(f"the condition {min(missing)} is missing")
    return PredictionSet(
        header.about,
        tuple(header.classes),
        header.class_counts,
        {row.key: Utterance(**row.model_dump(include=set(_UTTERANCE))) for row in rows},
        found,
        header.subsets,
        header.controls,
        header.text_alone,
        None if plan is None else _plan(plan),
        header.fingerprint,
        {row.key: row.votes for row in rows if row.votes is not None},
        tuple(header.dimensions),
        {row.key: row.dimensions for row in rows if row.dimensions is not None},
    )


def _values(header: _Header, rows: list[_Row], name: str) -> NDArray[np.float32] | None:
    """The answers of one condition to the dimensions, f32 [n, D]."""
    if not header.dimensions:
        return None
    found = np.array([row.values[name] for row in rows], np.float32).reshape(len(rows), len(header.dimensions))
    if not np.isfinite(found).all():
        raise ValueError(f"the values of {name} are not numbers")
    return found
