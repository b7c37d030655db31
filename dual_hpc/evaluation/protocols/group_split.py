"""`data.split`: a corpus without a split of its own is divided by a column, so that no group is in two parts.

A pure function of the metadata and the setting: the same on every rank, at every restart, on every machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dual_hpc.errors import UserError
from dual_hpc.evaluation.protocols.division import Indices, draw_groups, groups_by
from dual_hpc.evaluation.protocols.split import DIALOGUE

if TYPE_CHECKING:
    from dual_hpc.config.schema import DataConfig
    from dual_hpc.data.format.sample import Utterance

# Of a speaker who comes back in another session, and of a session, only the corpus says that it is another one.
FIELDS = {
    "speaker": ("corpus", "speaker"),
    "dialogue": DIALOGUE,
    "session": ("corpus", "session"),
    "corpus": ("corpus",),
    "utterance": ("corpus", "key"),
}
_LEAST = 3  # groups, for three parts


@dataclass(frozen=True)
class GroupSplit:
    """How groups are divided.

    Attributes:
        by: a key of `FIELDS`: utterances that agree in it stay together.
        shares: of the utterances that train, validate and test; None: by folds.
        folds: number of folds, each of which is the test once; 0: as many as there are groups; None: by shares.
        seed: another one divides otherwise.
    """

    by: str
    shares: tuple[float, float, float] | None = None
    folds: int | None = None
    seed: int = 0

    @classmethod
    def of(cls, setting: Mapping[str, Any]) -> GroupSplit:
        """From a `data.split` that `config.values` has checked."""
        by, how = next((key, value) for key, value in setting.items() if key != "seed")
        seed = int(setting.get("seed", 0))
        if isinstance(how, list):
            train, validation, test = how
            return cls(by, (train, validation, test), seed=seed)
        return cls(by, folds=0 if how == "leave_one_out" else int(how), seed=seed)

    def fold_numbers(self, utterances: Sequence[Utterance], numbers: Indices) -> tuple[int, ...]:
        """The values of `data.test_fold`; () where there is one division.

        Args:
            numbers: of the utterances that count, positions in `utterances`.
        """
        if self.shares is not None:
            return ()
        return tuple(range(1, 1 + (self.folds or len(groups_by(utterances, numbers, FIELDS[self.by])[1]))))

    def parts(
        self, utterances: Sequence[Utterance], numbers: Indices, labels: Indices, data: DataConfig
    ) -> dict[str, Indices]:
        """The numbers of each part, in order.

        Args:
            numbers: positions in `utterances`, ascending; `labels` are their class numbers.

        Raises:
            UserError: there are too few groups.
        """
        met, unordered = groups_by(utterances, numbers, FIELDS[self.by])
        names = sorted(unordered)
        self._check(len(names), max(_LEAST, self.folds or 0) if self.shares is None or self.shares[2] else 2)
        place = {name: number for number, name in enumerate(names)}
        group = np.array([place[name] for name in unordered], np.int64)[met]
        order = np.lexsort((labels, group))  # so that the order of the shards breaks no tie
        numbers, group, labels = numbers[order], group[order], labels[order]
        if self.shares is not None:
            _, validation, test = self.shares
            tests = np.zeros(len(numbers), bool)
            if test:
                tests = draw_groups(group, names, labels, test, f"{self.seed}:test:", leave=2)
        else:
            tests = np.array(self._folds(group, names, labels), np.int64)[group] == data.test_fold
            validation, test = data.validation_fraction, 0.0
        pool = np.flatnonzero(~tests)
        left, inner = np.unique(group[pool], return_inverse=True)
        self._check(len(left), 2, f" outside of fold {data.test_fold}")
        rest = [names[number] for number in left.tolist()]
        chosen = draw_groups(inner, rest, labels[pool], validation / (1 - test), f"{self.seed}:validation:")
        parts = {"train": pool[~chosen], "validation": pool[chosen], "test": np.flatnonzero(tests)}
        return {name: np.sort(numbers[part]) for name, part in parts.items()}

    def _folds(self, group: Indices, names: Sequence[str], labels: Indices) -> list[int]:
        """The fold of each group, from 1. Where each group is a fold, they are in the order of their names."""
        if self.folds == 0:
            return list(range(1, len(names) + 1))
        return balanced_folds(group, names, labels, int(self.folds or 0), self.seed)

    def _check(self, count: int, least: int, where: str = "") -> None:
        if count < least:
            others = " or ".join(by for by in ("speaker", "dialogue", "utterance") if by != self.by)
            found = f"{count} {self.by}" + "s" * (count != 1)
            raise UserError(
                f"data.split: the labelled utterances{where} have {found}, and {least} are needed; divide by {others}"
            )


def balanced_folds(group: Indices, names: Sequence[str], labels: Indices, k: int, seed: int) -> list[int]:
    """The fold of each group, from 1: the largest first, each where its most frequent class is rarest so far.

    Args:
        group: of each utterance, [n]; `names` the identity of each group, `labels` the class numbers, [n].
        seed: another one divides otherwise.
    """
    counts: NDArray[np.int64] = np.zeros((len(names), int(labels.max()) + 1), np.int64)
    np.add.at(counts, (group, labels), 1)
    main, sizes = counts.argmax(axis=1).tolist(), counts.sum(axis=1).tolist()
    hashes = [hashlib.sha256(f"{seed}:fold:{name}".encode()).digest() for name in names]
    filled = np.zeros((k, counts.shape[1]), np.int64)
    total = [0] * k
    found = [0] * len(names)
    for one in sorted(range(len(names)), key=lambda number: (-sizes[number], hashes[number])):
        fold = min(range(k), key=lambda each: (filled[each, main[one]], total[each], each))
        filled[fold] += counts[one]
        total[fold] += sizes[one]
        found[one] = fold + 1
    return found
