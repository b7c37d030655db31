"""The raters' votes as distributions over a protocol's classes, and how far answers are from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.batch import SoftLabels
from dual_hpc.data.format.sample import Utterance, Vote
from dual_hpc.data.format.utterances import coded
from dual_hpc.data.sampling.permutation import Indices
from dual_hpc.errors import UserError
from dual_hpc.evaluation.predictions import shortest_decimals
from dual_hpc.evaluation.protocols import Protocol

_LEAST = 1e-6  # a probability of 0 for what somebody voted for would cost infinitely much
Shares = NDArray[np.float64]


def shares_of(
    votes: Sequence[Vote] | None, class_of: Callable[[str], int | None], classes: int, own: bool = False
) -> Shares | None:
    """The share of each class in the votes, f64 [C]; None where no rater named one of the classes.

    Each rater has one vote, divided among the labels that he named; labels that are no class of the protocol are left
    out, and the rest is scaled to 1.

    Args:
        own: count what actors said of themselves.
    """
    found = np.zeros(classes)
    for vote in votes or ():
        if vote.own and not own:
            continue
        for label in vote.labels:
            if (number := class_of(label)) is not None:
                found[number] += 1 / len(vote.labels)
    total = found.sum()
    return found / total if total > 0 else None


def vote_shares(
    protocol: Protocol, utterances: Sequence[Utterance], numbers: Indices
) -> tuple[Shares, NDArray[np.bool_]]:
    """The distribution of the votes of these utterances, f64 [n, C], and which of them have any, bool [n].

    Args:
        numbers: positions in `utterances`.
    """
    count = len(protocol.classes)
    vote_of, votes = coded(utterances, "votes")
    corpus_of, corpora = coded(utterances, "corpus")
    pair = corpus_of[numbers].astype(np.int64) * max(1, len(votes)) + vote_of[numbers]
    met, place = np.unique(pair, return_inverse=True)
    table, known = np.zeros((len(met), count)), np.zeros(len(met), bool)
    for row, code in enumerate(met.tolist()):
        corpus, vote = divmod(code, max(1, len(votes)))
        found = shares_of(votes[vote], protocol.labels_in(corpora[corpus]).get, count, protocol.self_reports)
        if found is not None:
            table[row], known[row] = found, True
    return table[place], known[place]


def soft_labels_of(protocol: Protocol, utterances: Sequence[Utterance], numbers: Indices) -> SoftLabels:
    """What `target: soft` trains on: the votes, and of utterances without any their label.

    Args:
        numbers: positions in `utterances`, ascending, each once.

    Raises:
        UserError: no utterance has votes.
    """
    shares, known = vote_shares(protocol, utterances, numbers)
    if not known.any():
        raise UserError(
            f"data.protocol: {protocol.name} trains on votes, and no utterance that trains has one for a class; pack "
            "the corpus again with this version if its raters are known, or use a protocol with `target: class`"
        )
    labels = protocol.class_numbers(utterances)[numbers]
    shares[~known] = np.eye(len(protocol.classes))[labels[~known]]
    return SoftLabels(np.asarray(numbers, np.int64), shares.astype(np.float32))


def votes_by_key(protocol: Protocol, utterances: Sequence[Utterance], numbers: Indices) -> dict[str, list[float]]:
    """Key -> the share of each class in the votes, of those of these utterances that have any; as files write it."""
    shares, known = vote_shares(protocol, utterances, numbers)
    return {
        utterances[number].key: shortest_decimals(shares[row].astype(np.float32))
        for row, number in enumerate(numbers.tolist())
        if known[row]
    }


def js_divergence(truth: Shares, answers: NDArray[np.floating[Any]]) -> Shares:
    """Jensen-Shannon divergence of each row to base 2, from 0 (equal) to 1: [N, C] and [N, C] -> [N]."""
    given = answers.astype(np.float64)
    mean = (truth + given) / 2
    return (_kl(truth, mean) + _kl(given, mean)) / 2 / float(np.log(2))


def kl_divergence(truth: Shares, answers: NDArray[np.floating[Any]]) -> Shares:
    """KL(truth || answers) of each row in nats: [N, C] and [N, C] -> [N]."""
    return _kl(truth, np.maximum(answers.astype(np.float64), _LEAST))


def _kl(one: Shares, other: Shares) -> Shares:
    ratio = np.divide(one, other, out=np.ones_like(one), where=(one > 0) & (other > 0))
    return np.where(one > 0, one * np.log(ratio), 0.0).sum(axis=1)


DIVERGENCES: Mapping[str, Callable[[Shares, NDArray[np.floating[Any]]], Shares]] = {
    "jsd": js_divergence,
    "kld": kl_divergence,
}
