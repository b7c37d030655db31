"""How utterances are divided: by the corpus's own split, by session, and, for validation, by whole groups."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from dual_hpc.errors import UserError

if TYPE_CHECKING:
    from dual_hpc.data.format.sample import Utterance

_SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("dev", "val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing", "eval"), "test"),
}
_DRAWS = 32  # candidate validation splits, of which the most representative is taken


def dialogue_of(utterance: Utterance) -> str:
    """A dialogue's identity over all corpora (MELD's numbers restart in each split): the cluster of the bootstrap."""
    return f"{utterance.corpus}/{utterance.session}/{utterance.split}/{utterance.dialogue}"


def speaker_of(utterance: Utterance) -> str:
    """A speaker's identity over all corpora and sessions."""
    return f"{utterance.corpus}/{utterance.session}/{utterance.speaker}"


def own_split_or_session(utterance: Utterance, test_fold: int) -> str:
    """The split that the corpus names; in a corpus without splits, session number `test_fold` is the test.

    Raises:
        UserError: the utterance has neither, or a split of an unknown name.
    """
    if utterance.split is not None:
        part = _SPLIT_NAMES.get(utterance.split.strip().lower())
        if part is None:
            raise UserError(f"data.protocol: {utterance.key} has the split {utterance.split!r}; use train, dev or test")
        return part
    if utterance.session is None:
        raise UserError(
            f"data.protocol: {utterance.key} of corpus {utterance.corpus} has neither a split nor a session "
            "to say whether it trains or tests; add a split column (train, dev, test) to the manifest and pack again"
        )
    return "test" if utterance.session == test_fold else "train"


def draw_validation(
    utterances: Sequence[Utterance], labels: Mapping[int, int | None], by: str, fraction: float
) -> set[int]:
    """Whole groups (speakers or dialogues) of the pool, about `fraction` of it, with its mix of classes.

    Groups are ordered by a hash of their identity, so the draw depends on nothing but the metadata. Of several such
    orders the one with the most representative classes is taken: a small validation split that lacks a class
    cannot choose a checkpoint by UA.

    Args:
        labels: position in `utterances` -> class number, of the pool.
        by: "speaker" or "dialogue".
    """
    pool = list(labels)
    identity = speaker_of if by == "speaker" else dialogue_of
    groups: dict[str, list[int]] = {}
    for number in pool:
        groups.setdefault(identity(utterances[number]), []).append(number)
    if len(groups) < 2:
        raise UserError(
            f"data.validation: the training part has a single {by}, so no validation split can be drawn; "
            "use the other of speaker and dialogue, or give the corpus a dev split"
        )
    whole = Counter(labels.values())
    wanted = fraction * len(pool)

    def candidate(draw: int) -> list[int]:
        taken: list[int] = []
        for group in sorted(groups, key=lambda name: hashlib.sha256(f"{draw}:{name}".encode()).digest()):
            # The first group always goes in; then only those that bring the size nearer to the wanted one.
            if not taken or abs(len(taken) + len(groups[group]) - wanted) < abs(len(taken) - wanted):
                taken += groups[group]
        return taken

    def cost(taken: Iterable[int]) -> tuple[int, float]:
        part = Counter(labels[number] for number in taken)
        size = part.total()
        lost = sum(part[label] in (0, whole[label]) for label in whole)
        return lost, sum(abs(part[label] / size - whole[label] / len(pool)) for label in whole)

    # A single group may hold most of the pool; what is taken must leave something to train on.
    candidates: list[list[int]] = [taken for taken in map(candidate, range(_DRAWS)) if len(taken) < len(pool)]
    return set(min(candidates or sorted(groups.values(), key=len)[:1], key=cost))
