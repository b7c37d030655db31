"""What a protocol cannot learn from a data set, or be scored on: found when a run is planned, not by its job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dual_hpc.data.format.utterances import Utterances, coded, keys_of
from dual_hpc.errors import UserError
from dual_hpc.evaluation.dimensions import dimension_targets, dimension_values
from dual_hpc.evaluation.protocols.columns import some
from dual_hpc.evaluation.protocols.document_protocol import DocumentProtocol
from dual_hpc.evaluation.protocols.unmatched import empty_classes, unmatched_names
from dual_hpc.evaluation.votes import soft_labels_of, vote_shares

if TYPE_CHECKING:
    from dual_hpc.data.format.sample import Utterance
    from dual_hpc.evaluation.protocols import Protocol
    from dual_hpc.evaluation.protocols.division import Indices

Parts = Mapping[str, "Indices"]


def check_trainable(protocol: Protocol, utterances: Sequence[Utterance], parts: Parts, own: bool) -> list[str]:
    """What whoever trains should know of these parts, as sentences.

    Args:
        parts: of `Protocol.divide`.
        own: the protocol is a file of the user's, whose every name should be somebody's.

    Raises:
        UserError: there is nothing to learn, the target lacks what it needs, or reports could not tell samples apart.
    """
    _check_keys(protocol.name, utterances, parts)
    numbers = protocol.class_numbers(utterances)
    counts = {name: np.bincount(numbers[part], minlength=len(protocol.classes)) for name, part in parts.items()}
    told = []
    if own and isinstance(protocol, DocumentProtocol):
        told = unmatched_names(protocol.rules, utterances)
        every = np.bincount(numbers[numbers >= 0], minlength=len(protocol.classes)).tolist()
        if empty := empty_classes(protocol.rules, utterances, every):
            said = "; ".join(told)
            raise UserError(f"data.protocol: {protocol.name}: no utterance is of the class {some(empty)}: {said}")
    if len(protocol.classes) > 1 and not protocol.dimensions and (counts["train"] > 0).sum() < 2:
        only = protocol.classes[int(counts["train"].argmax())]
        raise UserError(
            f"data.protocol: {protocol.name}: all utterances that train are {only}; there is nothing to learn"
        )
    return [*told, *_targets(protocol, utterances, parts["train"]), *_unlearned(protocol, counts)]


def _targets(protocol: Protocol, utterances: Sequence[Utterance], train: Indices) -> list[str]:
    """How many of the utterances that train lack the votes or dimensions that the protocol trains on."""
    if protocol.soft:
        soft_labels_of(protocol, utterances, train)
        lacking = int((~vote_shares(protocol, utterances, train)[1]).sum())
        said = f"{lacking} of {len(train)} utterances that train have no vote for a class: their label is trained"
        return [said] if lacking else []
    if not protocol.dimensions:
        return []
    dimension_targets(protocol, utterances, train)
    values = dimension_values(utterances, train, protocol.dimensions)
    codes, corpora = coded(utterances, "corpus")
    rated = np.unique(codes[train][np.isfinite(values).any(axis=1)]).tolist()
    if len(rated) > 1:
        raise UserError(
            f"data.protocol: {protocol.name} trains on dimensions, and {some([corpora[code] for code in rated])} have "
            "them, each on a scale of its own; learn them from one corpus"
        )
    absent = {name: int(np.isnan(one).sum()) for name, one in zip(protocol.dimensions, values.T, strict=True)}
    return [f"{count} of {len(train)} utterances that train have no {name}" for name, count in absent.items() if count]


def _unlearned(protocol: Protocol, counts: Mapping[str, np.ndarray]) -> list[str]:
    """Classes that are tested and that no utterance trains, and those by which no weights are chosen."""
    told = []
    for number, name in enumerate(protocol.classes):
        train, chosen, tested = (int(counts[part][number]) for part in ("train", "validation", "test"))
        if tested and not train:
            told.append(f"no utterance of the class {name} trains, and {tested} test: no answer will be {name}")
        elif train and not chosen and len(protocol.classes) > 1:
            told.append(f"no utterance of the class {name} is in the validation part, which chooses the weights")
    return told


def _check_keys(protocol: str, utterances: Sequence[Utterance], parts: Parts) -> None:
    """Reports and files of predictions tell samples apart by their keys."""
    if isinstance(utterances, Utterances) and utterances.folders < 2:
        return
    keys, (corpus_of, corpora) = keys_of(utterances), coded(utterances, "corpus")
    for name in ("test", "validation"):
        numbers = parts[name].tolist()
        samples = Counter((keys[number], int(corpus_of[number])) for number in numbers)
        if twice := [key for (key, _), count in samples.items() if count > 1]:
            raise UserError(
                f"data.shards: {len(twice)} samples are twice in the part {name}: {some(twice)}; leave a folder out"
            )
        if name == "test" and len(alike := {key for key, _ in samples}) < len(samples):
            of = Counter(key for key, _ in samples)
            both = [key for key in alike if of[key] > 1]
            whose = sorted({str(corpora[code]) for key, code in samples if of[key] > 1})
            raise UserError(
                f"data.shards: {', '.join(whose)} have samples of the same name in the test part of {protocol}: "
                f"{some(both)}; reports tell them apart by it: pack one of them with other ids, or test one corpus "
                "at a time (folds: {by: corpus})"
            )
