"""What an utterance belongs to: a part by the corpus's own split or by session, a dialogue, a speaker."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dual_hpc.errors import UserError

if TYPE_CHECKING:
    from dual_hpc.data.format.sample import Utterance

_SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("dev", "val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing", "eval"), "test"),
}


SPEAKER = ("corpus", "session", "speaker")  # the fields that tell one from another
DIALOGUE = ("corpus", "session", "split", "dialogue")


def dialogue_of(utterance: Utterance) -> str:
    """A dialogue's identity over all corpora (MELD's numbers restart in each split): the cluster of the bootstrap."""
    return identity(getattr(utterance, name) for name in DIALOGUE)


def speaker_of(utterance: Utterance) -> str:
    """A speaker's identity over all corpora and sessions."""
    return identity(getattr(utterance, name) for name in SPEAKER)


def identity(values: Iterable[str | int | None]) -> str:
    """The one name of a dialogue or speaker with these values of its fields; splits are drawn by it, so it stays."""
    return "/".join(map(str, values))


def part_named(split: str) -> str | None:
    """The part that a corpus's own split is; None for an unknown name."""
    return _SPLIT_NAMES.get(split.strip().lower())


def own_part(split: str) -> str:
    """As `part_named`.

    Raises:
        UserError: an unknown name.
    """
    if (part := part_named(split)) is None:
        raise UserError(f"data.protocol: an utterance has the split {split!r}; use train, dev or test")
    return part


def own_split_or_session(utterance: Utterance, test_fold: int) -> str:
    """The split that the corpus names; in a corpus without splits, session number `test_fold` is the test.

    Raises:
        UserError: the utterance has neither, or a split of an unknown name.
    """
    if utterance.split is not None:
        part = part_named(utterance.split)
        if part is None:
            raise UserError(f"data.protocol: {utterance.key} has the split {utterance.split!r}; use train, dev or test")
        return part
    if utterance.session is None:
        raise UserError(
            f"data.protocol: {utterance.key} of corpus {utterance.corpus} has neither a split nor a session "
            "to say whether it trains or tests; set data.split={speaker: [0.7, 0.15, 0.15]} (or dialogue, utterance), "
            "or add a split column (train, dev, test) to the manifest and pack again"
        )
    return "test" if utterance.session == test_fold else "train"
