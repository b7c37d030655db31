"""Folders of feature shards of the same utterances by different encoders, side by side in one folder.

Each of them, a *set*, is written once by `dual-hpc extract` or `dual-hpc pack features`, and has its folder's name.
What is read of a folder of sets is chosen by modality; no other set is opened beyond its index.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dual_hpc.data.format.columns import Columns
from dual_hpc.data.format.columns_cache import open_columns
from dual_hpc.data.format.index import INDEX_NAME
from dual_hpc.data.format.members import FEATURES
from dual_hpc.errors import UserError
from dual_hpc.modality import Modality

# Modality -> sets, by name or by the identity of the encoder that made them, in the order of their features; None: the
# only one that has the modality; empty: none is read.
Choice = Mapping[str, Sequence[str] | None]


@dataclass(frozen=True)
class FeatureSet:
    """A set, and what is read of it."""

    folder: Path
    columns: Columns
    modalities: tuple[str, ...]

    @property
    def members(self) -> frozenset[str]:
        """Extensions of the members that are read."""
        return frozenset(f"{name}{FEATURES}" for name in self.modalities)


def encoder_key(modality: str) -> str:
    """The option of a feature index that names the encoder of a modality."""
    return f"{modality}_encoder"


def sets_in(folder: Path) -> list[str]:
    """Names of the sets of a folder that has no index of its own, in alphabetical order."""
    try:
        if (folder / INDEX_NAME).exists():
            return []
        return sorted(name for name in os.listdir(folder) if (folder / name / INDEX_NAME).is_file())
    except (OSError, ValueError):
        return []


def chosen_sets(folder: Path, choice: Choice) -> list[FeatureSet]:
    """The sets that are read of a folder of sets; the first says what the utterances are. Empty for other folders.

    Raises:
        UserError: it must be said which sets are meant, there are no such ones, or they are of other utterances.
    """
    known = {name: open_columns(folder / name) for name in sets_in(folder)}
    if not known or any(columns.kind != "features" for columns in known.values()):
        return []
    wanted: dict[str, list[str]] = {}  # set -> modalities
    for modality in map(str, Modality):
        for name in _names(folder, known, modality, choice.get(modality)):
            wanted.setdefault(name, []).append(modality)
    found = [FeatureSet(folder / name, known[name], tuple(modalities)) for name, modalities in wanted.items()]
    if not found:
        raise UserError(f"data.shards: nothing is read of the feature sets in {folder} ({', '.join(known)})")
    for one in found[1:]:
        _check_alike(found[0], one)
    return found


def _names(folder: Path, known: Mapping[str, Columns], modality: str, asked: Sequence[str] | None) -> list[str]:
    key = encoder_key(modality)
    having = {name: columns.options[key] for name, columns in known.items() if key in columns.options}
    if asked is None:
        if len(having) > 1:
            raise UserError(
                f"model.{modality}.features: {folder} holds {modality} features of {', '.join(having)}; choose one or "
                f"several, as model.{modality}.features=[{next(iter(having))}]"
            )
        return list(having)
    found = []
    for word in asked:
        names = [name for name, encoder in having.items() if word in (name, encoder)]
        if not names:
            there = f"has such features of {', '.join(having)}" if having else "has no such features"
            raise UserError(f"model.{modality}.features: {folder} has no {modality} features of {word!r}; it {there}")
        found.append(names[0])
    return found


def _check_alike(one: FeatureSet, other: FeatureSet) -> None:
    mine, theirs = one.columns.keys, other.columns.keys
    if not (np.array_equal(mine.offsets, theirs.offsets) and np.array_equal(mine.data, theirs.data)):
        raise UserError(
            f"data.shards: {one.folder} and {other.folder} hold features of other utterances ({len(mine)} and "
            f"{len(theirs)}); make both from the same media shards, or from tables with the same ids"
        )
