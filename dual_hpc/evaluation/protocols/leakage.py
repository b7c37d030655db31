"""What is in two parts of a division. A speaker or dialogue: refused, unless the protocol says so, and then told. One
sample, which two folders of shards hold: refused always.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dual_hpc.errors import UserError
from dual_hpc.evaluation.protocols.columns import some

if TYPE_CHECKING:
    from dual_hpc.data.format.sample import Utterance
    from dual_hpc.evaluation.protocols.division import Indices

# Without the split that `split.DIALOGUE` has: a corpus's own split may cut a dialogue in two.
GROUPS = {"speaker": ("corpus", "speaker"), "dialogue": ("corpus", "session", "dialogue")}
_PAIRS = (("train", "test"), ("validation", "test"), ("train", "validation"))  # the gravest first
_UNKNOWN = "unknown"  # what a manifest without a speaker column says


def shared_groups(
    utterances: Sequence[Utterance], parts: Mapping[str, Indices]
) -> dict[tuple[str, str, str], list[str]]:
    """(speaker or dialogue, one part, another part) -> the names that are in both, where there are any."""
    from dual_hpc.evaluation.protocols.division import grouped

    numbers = np.concatenate([parts[name] for name in parts])
    part_of = np.repeat(np.arange(len(parts)), [len(parts[name]) for name in parts])
    place = {name: code for code, name in enumerate(parts)}
    found = {}
    groups = {kind: grouped(utterances, numbers, fields) for kind, fields in GROUPS.items()}
    for one, other in _PAIRS:
        for kind, (group, first) in groups.items():
            within = [np.unique(group[part_of == code]) for code in range(len(parts))]
            both = np.intersect1d(within[place[one]], within[place[other]]).tolist()
            names = [str(getattr(utterances[int(numbers[first[code]])], kind)) for code in both]
            if names := [name for name in names if name != _UNKNOWN]:
                found[kind, one, other] = sorted(names)
    return found


def check_leakage(
    utterances: Sequence[Utterance], parts: Mapping[str, Indices], allowed: Mapping[str, str], protocol: str
) -> list[str]:
    """What the protocol allows to be shared with the test part, and is, as sentences for whoever reads its scores.

    Args:
        allowed: `shared` of the protocol.

    Raises:
        UserError: a speaker or dialogue is in two parts and the protocol does not say so.
    """
    told = []
    for (kind, one, other), names in shared_groups(utterances, parts).items():
        if other == "test" and allowed.get(kind) == "test":
            told.append(f"{_counted(names, kind)} in {one} and in {other}, as {protocol} allows: {some(names)}")
        elif kind not in allowed or other == "test":
            raise UserError(
                f"data.protocol: {protocol}: {_counted(names, kind)} in {one} and in {other}: {some(names)}; divide by "
                f"{kind}, or write `shared: {{{kind}: {other}}}` to allow it"
            )
    return told


def shared_with_test(utterances: Sequence[Utterance], parts: Mapping[str, Indices]) -> list[str]:
    """What the test part shares where no protocol says that it may, as sentences."""
    return [
        f"{_counted(names, kind)} in {one} and in {other}: {some(names)}"
        for (kind, one, other), names in shared_groups(utterances, parts).items()
        if other == "test"
    ]


def _counted(names: Sequence[str], kind: str) -> str:
    """ "1 speaker is", "2 speakers are"."""
    return f"{len(names)} {kind}{'s are' if len(names) > 1 else ' is'}"


def check_samples(utterances: Sequence[Utterance], parts: Mapping[str, Indices], protocol: str) -> None:
    """Refuse a sample that is in two parts.

    Raises:
        UserError: names them.
    """
    from dual_hpc.data.format.utterances import Utterances, coded, keys_of

    if isinstance(utterances, Utterances) and utterances.folders < 2:
        return
    keys, (corpus_of, _) = keys_of(utterances), coded(utterances, "corpus")
    samples = {
        name: {(keys[number], int(corpus_of[number])) for number in numbers.tolist()} for name, numbers in parts.items()
    }
    for one, other in _PAIRS:
        if both := sorted(key for key, _ in samples[one] & samples[other]):
            raise UserError(
                f"data.protocol: {protocol}: {_counted(both, 'sample')} in {one} and in {other}: {some(both)}; several "
                "folders of data.shards hold them, leave one out"
            )
