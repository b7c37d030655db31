"""The typed result of an evaluation, assembled from predictions; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dual_hpc.data.format.sample import Utterance
from dual_hpc.evaluation.baselines import class_prior, majority
from dual_hpc.evaluation.calibration import Calibration, calibration
from dual_hpc.evaluation.dimension_scores import DimensionScores, dimension_scores
from dual_hpc.evaluation.metrics import Scores, bootstrap
from dual_hpc.evaluation.perturbations.suite import Robustness
from dual_hpc.evaluation.predictions import Predictions
from dual_hpc.evaluation.protocols import dialogue_of
from dual_hpc.evaluation.tables import seen_letters, seen_name, told_apart
from dual_hpc.evaluation.vote_scores import VoteScores, vote_scores
from dual_hpc.modality import ALL_MODALITIES, Modality, format_subset

if TYPE_CHECKING:
    from dual_hpc.evaluation.comparison.reliance import Reliance
    from dual_hpc.evaluation.prediction_set import PredictionSet

LEVEL = 0.95
Dimensions = tuple[Sequence[str], Mapping[str, Sequence[float | None]]]  # names, and key -> values
STYLES = {"scripted": True, "improvised": False}


@dataclass(frozen=True)
class SubsetResult:
    """One subset of modalities.

    Attributes:
        interval: metric -> bounds of the 95 % bootstrap interval, clustered by dialogue.
        styles: scripted and improvised -> scores, where the corpus tells them apart.
        speakers: speaker -> scores.
        groups: "corpus", "gender" -> name -> scores, of columns in which the utterances differ.
        calibration: how far confidence says which answers are right.
        votes: how near the probabilities are to the raters' votes; None where no votes are known.
        dimensions: "valence" and the like -> scores, of a model that answers them.
    """

    scores: Scores
    interval: Mapping[str, tuple[float, float]]
    styles: Mapping[str, Scores] = field(default_factory=dict)
    speakers: Mapping[str, Scores] = field(default_factory=dict)
    groups: Mapping[str, Mapping[str, Scores]] = field(default_factory=dict)
    calibration: Calibration | None = None
    votes: VoteScores | None = None
    dimensions: Mapping[str, DimensionScores] = field(default_factory=dict)


@dataclass(frozen=True)
class ControlResult:
    """What mismatched inputs do to the answers; see `controls`.

    Attributes:
        shown: the modalities that the model saw.
        flips: share of the answers that are others than with the utterance's own.
    """

    shown: str
    scores: Scores
    flips: float


@dataclass(frozen=True)
class EvaluationResult:
    """All subsets of one set of weights on one split.

    Attributes:
        about: where it comes from: run, checkpoint, protocol, split, fold, data set.
        subsets: "av", "avt", ... -> result.
        baselines: name -> metric -> value.
        controls: name -> result.
        robustness: curves under perturbations, where they were asked for.
        reliance: how far the answers rest on the text, one number.
        predictions: of each utterance, which all of it follows from.
    """

    about: Mapping[str, Any]
    classes: Sequence[str]
    subsets: Mapping[str, SubsetResult]
    baselines: Mapping[str, Mapping[str, float]]
    controls: Mapping[str, ControlResult] = field(default_factory=dict)
    robustness: Robustness | None = None
    reliance: Reliance | None = None
    predictions: PredictionSet | None = field(default=None, repr=False, compare=False)

    @property
    def absent(self) -> tuple[int, ...]:
        """Classes of the model of which there is no utterance: recall, and so UA, says nothing of them."""
        support = next(iter(self.subsets.values())).scores.support
        return tuple(int(c) for c in np.flatnonzero(support == 0))

    @property
    def present(self) -> str:
        """The letters of the modalities that at least one of the utterances has."""
        return str(self.about.get("present", ALL_MODALITIES))

    @property
    def used(self) -> str:
        """Those of them that the model reads."""
        return seen_letters(self.about)

    def shown(self, subset: str) -> str:
        """The name of a subset in tables: of what was there and read, "{A}" for "av" where no utterance has video."""
        return seen_name(subset, self.used)

    @property
    def rows(self) -> Mapping[str, SubsetResult]:
        """The subsets that are told apart: none that shows the model what one before it has shown, or nothing."""
        return {subset: self.subsets[subset] for subset in told_apart(self.subsets, self.used)}

    @property
    def text_reliance(self) -> Mapping[str, float] | None:
        """What the text adds: scores with it minus scores without, from the same weights; None if one of the two was
        not evaluated, or the model reads no text. `reliance` weighs it with what misleading text turns."""
        if "av" not in self.subsets or "avt" not in self.subsets or "t" not in self.used:
            return None
        without, with_text = (self.subsets[name].scores.values for name in ("av", "avt"))
        return {name: with_text[name] - without[name] for name in without}

    def to_json(self) -> dict[str, Any]:
        """Plain data, every number in it."""
        return {
            "about": dict(self.about),
            "classes": list(self.classes),
            "baselines": {name: dict(row) for name, row in self.baselines.items()},
            "subsets": {
                name: {
                    **one.scores.to_json(self.classes),
                    "interval": {key: list(bounds) for key, bounds in one.interval.items()},
                    "styles": {style: found.to_json(self.classes) for style, found in one.styles.items()},
                    "speakers": {name: {"count": found.count, **found.values} for name, found in one.speakers.items()},
                    "groups": {
                        column: {name: {"count": found.count, **found.values} for name, found in groups.items()}
                        for column, groups in one.groups.items()
                    },
                    **({} if one.calibration is None else {"calibration": one.calibration.to_json()}),
                    **({} if one.votes is None else {"votes": one.votes.to_json()}),
                    **({"dimensions": {n: s.to_json() for n, s in one.dimensions.items()}} if one.dimensions else {}),
                }
                for name, one in self.subsets.items()
            },
            "text_reliance": self.text_reliance,
            "reliance": None if self.reliance is None else self.reliance.to_json(),
            "controls": {
                name: {"shown": one.shown, "flips": one.flips, **one.scores.to_json(self.classes)}
                for name, one in self.controls.items()
            },
            **({} if self.robustness is None else {"robustness": self.robustness.to_json()}),
        }


def assemble(
    about: Mapping[str, Any],
    classes: Sequence[str],
    train_counts: Sequence[int],
    predictions: Mapping[str, Predictions],
    utterances: Mapping[str, Utterance],
    text_alone: Predictions | None = None,
    controls: Mapping[str, tuple[str, Predictions, Predictions]] | None = None,
    votes: Mapping[str, Sequence[float]] | None = None,
    dimensions: Dimensions = ((), {}),
) -> EvaluationResult:
    """The result of the predictions of each subset.

    Args:
        train_counts: utterances per class in the training split, for the baselines.
        utterances: metadata by key.
        text_alone: a baseline of models that read text.
        controls: name -> modalities shown, answers to mismatched inputs, and to the utterance's own.
        votes: key -> the share of each class in the raters' votes, of the utterances whose votes are known.
        dimensions: names, and key -> the values that the corpus gives.
    """
    subsets = {
        name: _subset(found, len(classes), utterances, votes or {}, dimensions) for name, found in predictions.items()
    }
    first = next(iter(predictions.values()))
    metas = [utterances[key] for key in first.keys]
    truth, dialogues = first.truth, len({dialogue_of(utterances[key]) for key in first.keys})
    baselines: dict[str, Mapping[str, float]] = {
        "majority": majority(train_counts, truth),
        "class prior": class_prior(train_counts, truth),
    }
    if text_alone is not None:
        baselines["text alone"] = text_alone.scores(len(classes)).values
    return EvaluationResult(
        about={
            **about,
            "count": len(truth),
            "dialogues": dialogues,
            "interval_level": LEVEL,
            **({} if "present" in about else present_in(metas)),  # a file of predictions says it
        },
        classes=tuple(classes),
        subsets=subsets,
        baselines=baselines,
        controls={
            name: ControlResult(shown, changed.scores(len(classes)), _flips(changed, own))
            for name, (shown, changed, own) in (controls or {}).items()
            if changed.keys
        },
    )


def present_in(utterances: Iterable[Utterance]) -> dict[str, str]:
    """`present` for the `about` of a report: the letters of the modalities that one has; {} where all are there."""
    metas = list(utterances)
    present = format_subset(one for one in Modality if any(getattr(meta, f"has_{one}") for meta in metas))
    return {} if present == ALL_MODALITIES else {"present": present}


def _flips(changed: Predictions, own: Predictions) -> float:
    before = dict(zip(own.keys, own.answers.tolist(), strict=True))
    after = zip(changed.keys, changed.answers.tolist(), strict=True)
    return float(np.mean([before[key] != answer for key, answer in after]))


def _subset(
    found: Predictions,
    n_classes: int,
    utterances: Mapping[str, Utterance],
    votes: Mapping[str, Sequence[float]],
    dimensions: Dimensions,
) -> SubsetResult:
    metas = [utterances[key] for key in found.keys]
    styles = {}
    for style, scripted in STYLES.items():
        chosen = np.array([meta.scripted is scripted for meta in metas], dtype=bool)
        if chosen.any():
            styles[style] = found.scores(n_classes, chosen)
    speaker_names = np.array([_speaker(meta) for meta in metas], dtype=object)
    speakers = {}
    dialogues = {key: dialogue_of(meta) for key, meta in zip(found.keys, metas, strict=True)}
    for name in sorted(set(speaker_names)):
        speakers[name] = found.scores(n_classes, speaker_names == name)
    return SubsetResult(
        scores=found.scores(n_classes),
        interval=bootstrap(
            found.truth,
            found.answers,
            list(dialogues.values()),
            n_classes,
            found.probabilities,
            level=LEVEL,
        ),
        styles=styles,
        speakers=speakers,
        groups=_groups(found, n_classes, metas),
        calibration=calibration(found) if found.keys else None,
        votes=vote_scores(found, votes, dialogues),
        dimensions=dimension_scores(found, *dimensions, dialogues),
    )


def _groups(found: Predictions, n_classes: int, metas: Sequence[Utterance]) -> dict[str, dict[str, Scores]]:
    """Column -> group -> scores, where the utterances are of several groups."""
    columns = {
        "corpus": [meta.corpus for meta in metas],
        "gender": [(meta.attributes or {}).get("gender") or "not known" for meta in metas],
    }
    return {
        column: {
            name: found.scores(n_classes, np.array([one == name for one in names], bool)) for name in sorted(set(names))
        }
        for column, names in columns.items()
        if len(set(names)) > 1
    }


def _speaker(meta: Utterance) -> str:
    """Who speaks, to read: "iemocap 5 F", "meld Joey"."""
    return " ".join(str(part) for part in (meta.corpus, meta.session, meta.speaker) if part not in (None, ""))
