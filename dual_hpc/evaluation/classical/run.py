"""Train and evaluate the classical baseline on shards: the protocol, splits and reports of every model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dual_hpc.config.schema import DataConfig
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.decoding.decode import DecodeError, decode_audio
from dual_hpc.data.format.members import AUDIO
from dual_hpc.data.format.reader import SampleReader, is_intact
from dual_hpc.errors import UserError
from dual_hpc.evaluation.classical.features import Vector, Wave, features_named
from dual_hpc.evaluation.classical.svm import ChosenSvm, choose_svm
from dual_hpc.evaluation.prediction_set import PredictionSet, result_of
from dual_hpc.evaluation.predictions import Predictions
from dual_hpc.evaluation.protocols import protocol_of
from dual_hpc.evaluation.report_files import write_reports
from dual_hpc.evaluation.result import EvaluationResult, present_in
from dual_hpc.evaluation.task import synthetic_dials
from dual_hpc.progress import ProgressDisplay

SUBSETS = ("av", "avt")  # what the report of a run shows; of both, this baseline reads the sound


@dataclass(frozen=True)
class Part:
    """The utterances of a split that have sound: their places in the split, features [N, D] and classes [N].

    `damaged` are the places of those whose sound cannot be decoded.
    """

    places: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.int64]
    damaged: list[int]


def evaluate_classical(
    data: DataConfig, features: str, out: Path | None = None, progress: bool | None = None
) -> EvaluationResult:
    """Train an SVM on features of the training split, choose C on validation, and report on the test split.

    Utterances without sound train nothing, and get the frequencies of the training split as an answer; those whose
    sound cannot be decoded are left out, as a model's evaluation leaves them out.

    Args:
        data: shards, protocol, fold and how the validation split is drawn, as in a run.
        features: a name of `FEATURES`.
        out: folder for the report and the predictions, as `dual-hpc evaluate` writes them.
        progress: a bar on standard error; None: if that is a terminal.

    Raises:
        UserError: the shards or the protocol cannot be used, or no utterance of the training split has sound.
        EnvironmentFault: the features need a package that is not installed.
    """
    compute = features_named(features)
    shard_set = ShardDataset(data.shards)
    if shard_set.kind == "features":
        raise UserError("data.shards: they hold features of encoders; the classical baseline needs the sound itself")
    utterances = shard_set.utterances
    protocol = protocol_of(data, utterances)
    split = protocol.divide(utterances, data)
    classes = protocol.class_numbers(utterances)
    if not len(split["test"]):
        raise UserError(f"data.shards: no labelled utterance is in the test split (data.protocol={data.protocol})")
    total = sum(len(numbers) for numbers in split.values())
    with ProgressDisplay(f"{features} features", total, shown=progress) as bar:
        parts = {
            name: _part(shard_set, numbers, classes[numbers], data.max_seconds, compute, bar.advance)
            for name, numbers in split.items()
        }
    train, test = parts["train"], parts["test"]
    if len(set(train.y.tolist())) < 2:
        raise UserError("data.shards: the training split has sound of fewer than two classes")
    n_classes = len(protocol.classes)
    counts = np.bincount(classes[split["train"]], minlength=n_classes)
    svm = choose_svm((train.x, train.y), (parts["validation"].x, parts["validation"].y), n_classes)
    answers = np.tile((counts / counts.sum()).astype(np.float32), (len(split["test"]), 1))
    if len(test.places):
        answers[test.places] = svm.probabilities(test.x)
    kept = np.setdiff1d(np.arange(len(split["test"])), test.damaged)
    if not len(kept):
        raise UserError(f"data.shards: none of the {len(split['test'])} utterances of the test split can be decoded")
    tested = [utterances[number] for number in split["test"][kept].tolist()]
    found = _in_order_of_keys([one.key for one in tested], classes[split["test"][kept]], answers[kept])
    facts: dict[str, Any] = {
        "run": f"svm_{features}",
        "checkpoint": f"C {svm.cost:g}",
        "protocol": data.protocol,
        "split": "test",
        "test_fold": data.test_fold if protocol.folds else None,
        "dataset": shard_set.dataset_id,
        "undecodable": len(test.damaged),
        "without_sound": len(tested) - len(test.places),
        "reads": "a",
        "selection": _selection(svm),
        **synthetic_dials(shard_set),
    }
    result = result_of(
        PredictionSet(
            {**facts, **present_in(tested)},
            protocol.classes,
            counts.tolist(),
            {one.key: one for one in tested},
            dict.fromkeys(SUBSETS, found),
            SUBSETS,
        )
    )
    if out is not None:
        write_reports(out, "test_best", result)
    return result


def _part(
    shard_set: ShardDataset,
    numbers: NDArray[np.int64],
    classes: NDArray[np.int64],
    max_seconds: float,
    compute: Callable[[Wave], Vector],
    advance: Callable[[int], None],
) -> Part:
    places: list[int] = []
    damaged: list[int] = []
    rows: list[Vector] = []
    with SampleReader() as reader:
        for place, number in enumerate(numbers.tolist()):
            ref = shard_set.ref(number)
            sound = reader.read(ref, {AUDIO}).get(AUDIO)
            advance(1)
            if sound is None:
                continue
            try:
                if not is_intact(ref, AUDIO, sound):
                    raise DecodeError("audio: its bytes are not those of the index")
                rows.append(compute(decode_audio(sound, max_seconds)))
                places.append(place)
            except DecodeError:
                damaged.append(place)
    where = np.array(places, np.int64)
    return Part(where, np.array(rows, np.float64).reshape(len(rows), -1), classes[where], damaged)


def _in_order_of_keys(keys: Sequence[str], truth: NDArray[np.int64], probabilities: NDArray[np.float32]) -> Predictions:
    if len(set(keys)) != len(keys):
        raise UserError("data.shards: two utterances have the same key; evaluate the folders one by one")
    order = sorted(range(len(keys)), key=lambda row: keys[row])
    return Predictions([keys[row] for row in order], truth[order], probabilities[order])


def _selection(svm: ChosenSvm) -> str:
    if not svm.tried:
        return "C 1, chosen by no score: there is no validation split"
    tried = ", ".join(f"{cost:g}" for cost in svm.tried)
    return f"the best UA of C {tried} on the validation split; the test split chose nothing"
