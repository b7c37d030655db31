"""How the utterances of a data set are divided, by columns of their metadata: for all of them at once.

Loaded when there is something to divide: `dual-hpc --help` knows protocols and needs no arrays.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.format.utterances import coded
from dual_hpc.errors import UserError
from dual_hpc.evaluation.protocols.split import DIALOGUE, SPEAKER, identity, own_split_or_session

if TYPE_CHECKING:
    from dual_hpc.data.format.sample import Utterance

Indices = NDArray[np.int64]
LEFT_OUT = -1  # instead of a class number
_DRAWS = 32  # candidate validation splits, of which the most representative is taken


def class_numbers(utterances: Sequence[Utterance], class_of: Callable[[str | None], int | None]) -> Indices:
    """The class number of each utterance by its label, i64 [n]; `LEFT_OUT` for None."""
    codes, labels = coded(utterances, "label")
    numbers = [LEFT_OUT if (number := class_of(label)) is None else number for label in labels]
    return np.array(numbers, np.int64)[codes]


def sessions_without_split(utterances: Sequence[Utterance]) -> list[int]:
    """The sessions of the utterances for which the corpus names no split, ascending."""
    _, met = grouped(utterances, np.arange(len(utterances)), ("split", "session"))
    kinds = [utterances[number] for number in met.tolist()]
    return sorted({one.session for one in kinds if one.split is None and one.session is not None})


def parts_of(
    utterances: Sequence[Utterance], numbers: Indices, split_of: Callable[[Utterance, int], str], test_fold: int
) -> dict[str, Indices]:
    """`split_of` each of these utterances: the numbers of each part, in order.

    Args:
        numbers: positions in `utterances`, ascending.

    Raises:
        UserError: the first utterance for which nothing says it.
    """
    if split_of is own_split_or_session:  # utterances that agree in what it looks at are of the same part
        group, first = grouped(utterances, numbers, ("split", "session"))
    else:
        group = first = np.arange(len(numbers))
    parts = [split_of(utterances[number], test_fold) for number in numbers[first].tolist()]
    names = sorted(set(parts))
    part_of = np.array([names.index(part) for part in parts], np.int64)[group]
    return {name: numbers[part_of == code] for code, name in enumerate(names)}


def grouped(utterances: Sequence[Utterance], numbers: Indices, fields: Iterable[str]) -> tuple[Indices, Indices]:
    """Which of these utterances agree in all of the fields.

    Args:
        numbers: positions in `utterances`.

    Returns:
        The group of each number, groups being counted in the order in which they are met; and for each group the
        position in `numbers` of its first.
    """
    group = np.zeros(len(numbers), np.int64)
    for field in fields:
        codes, values = coded(utterances, field)
        if len(values) > 1:
            _, group = np.unique(group * len(values) + codes[numbers], return_inverse=True)
    _, first, group = np.unique(group, return_index=True, return_inverse=True)
    met = np.argsort(first)
    place = np.empty_like(met)
    place[met] = np.arange(len(met))
    return place[group], first[met]


def groups_by(utterances: Sequence[Utterance], numbers: Indices, fields: Sequence[str]) -> tuple[Indices, list[str]]:
    """Which of these utterances belong together: the group of each, [n], and the identity of each group."""
    if "key" in fields:
        keys = [identity(getattr(utterances[number], name) for name in fields) for number in numbers.tolist()]
        known: dict[str, int] = {}
        return np.array([known.setdefault(key, len(known)) for key in keys], np.int64), list(known)
    group, first = grouped(utterances, numbers, fields)
    columns = (coded(utterances, name) for name in fields)
    values = [[distinct[code] for code in codes[numbers[first]].tolist()] for codes, distinct in columns]
    names: dict[str, int] = {}  # two groups may have names that are written alike: they are one
    merged = [names.setdefault(identity(each), len(names)) for each in zip(*values, strict=True)]
    return np.array(merged, np.int64)[group], list(names)


def draw_validation(
    utterances: Sequence[Utterance], numbers: Indices, labels: Indices, by: str, fraction: float
) -> tuple[Indices, Indices]:
    """Whole groups (speakers or dialogues) of the pool, about `fraction` of it, with its mix of classes.

    Args:
        numbers: the pool, positions in `utterances`, ascending; `labels` are their class numbers.
        by: "speaker" or "dialogue".

    Returns:
        Those of `numbers` that still train, and those that are drawn to validate.
    """
    group, names = groups_by(utterances, numbers, SPEAKER if by == "speaker" else DIALOGUE)
    if len(names) < 2:
        raise UserError(
            f"data.validation: the training part has a single {by}, so no validation split can be drawn; "
            "use the other of speaker and dialogue, or give the corpus a dev split"
        )
    chosen = draw_groups(group, names, labels, fraction)
    return numbers[~chosen], numbers[chosen]


def draw_groups(
    group: Indices, names: Sequence[str], labels: Indices, fraction: float, salt: str = "", leave: int = 1
) -> NDArray[np.bool_]:
    """Which utterances of a pool are drawn, bool [n]: whole groups, about `fraction` of it, with its mix of classes.

    Groups are ordered by a hash of their identity, so the draw depends on nothing but the metadata. Of several such
    orders the one with the most representative classes is taken: a small validation split that lacks a class
    cannot choose a checkpoint by UA.

    Args:
        group: of each utterance, [n]; `names` the identity of each group, `labels` the class numbers, [n].
        salt: another one draws otherwise.
        leave: this many groups are not drawn, at least; there are more.
    """
    sizes = np.bincount(group).tolist()
    encoded = [name.encode() for name in names]
    wanted = fraction * len(group)
    whole = dict(Counter(labels.tolist()))

    def candidate(draw: int) -> list[int]:
        """Groups that are taken."""
        prefix = f"{salt}{draw}:".encode()
        hashes = [hashlib.sha256(prefix + name).digest() for name in encoded]
        taken: list[int] = []
        count = 0
        for one in sorted(range(len(hashes)), key=hashes.__getitem__):
            # The first group always goes in; then only those that bring the size nearer to the wanted one.
            if not taken or abs(count + sizes[one] - wanted) < abs(count - wanted):
                taken.append(one)
                count += sizes[one]
            elif count >= wanted:  # whatever comes, it leads away
                break
        return taken

    def drawn(taken: Sequence[int]) -> NDArray[np.bool_]:
        """Which of the pool are in these groups."""
        chosen = np.zeros(len(sizes), bool)
        chosen[taken] = True
        return chosen[group]

    def cost(taken: Sequence[int]) -> tuple[int, float]:
        part = Counter(labels[drawn(taken)].tolist())
        size = part.total()
        lost = sum(part[label] in (0, whole[label]) for label in whole)
        return lost, sum(abs(part[label] / size - whole[label] / len(group)) for label in whole)

    # A single group may hold most of the pool; what is taken must leave something to train on.
    candidates = [taken for taken in map(candidate, range(_DRAWS)) if len(taken) <= len(sizes) - leave]
    return drawn(min(candidates or [[sizes.index(min(sizes))]], key=cost))
