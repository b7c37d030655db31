"""A sweep: runs that differ in a few settings, as one job array. Which ones is a pure function of its axes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from dual_hpc.errors import UserError
from dual_hpc.tracking.run_dir import RunDir, write_atomically

FOLDS = range(1, 6)  # IEMOCAP's sessions


class Member(BaseModel):
    """One run of a sweep: its name, and what sets it apart."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    overrides: list[str]


class Sweep(BaseModel):
    """`sweep.json` in the folder of a sweep, STORE/sweeps/NAME."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    members: list[Member]


@dataclass(frozen=True)
class SweepDir:
    """A sweep that stands in a store."""

    path: Path
    sweep: Sweep

    @classmethod
    def open(cls, store: Path, name: str) -> SweepDir:
        """An existing sweep.

        Raises:
            UserError: there is none of this name.
        """
        path = folder(store, name)
        try:
            return cls(path, Sweep.model_validate_json((path / "sweep.json").read_bytes()))
        except FileNotFoundError as error:
            raise UserError(f"there is no sweep {name!r} in {store}") from error

    def save(self) -> None:
        """Write `sweep.json`, last of all."""
        write_atomically(self.path / "sweep.json", self.sweep.model_dump_json(indent=2) + "\n")

    def runs(self) -> list[RunDir]:
        """The run directories of the members, in their order."""
        return [RunDir(self.path.parents[1] / "runs" / member.name) for member in self.sweep.members]


def folder(store: Path, name: str) -> Path:
    """Where a sweep stands."""
    return store / "sweeps" / name


def axis(text: str) -> tuple[str, list[str]]:
    """`KEY=A,B,C`, `folds=all`, `folds=1,3` or `seeds=0..4` as a setting and its values.

    Raises:
        UserError: it is none of these, or a value comes twice.
    """
    key, separator, values = text.partition("=")
    if not separator or not key or not values:
        raise UserError(f"{text!r} is no axis of a sweep: write KEY=A,B,C or folds=all or seeds=0..4")
    if key == "folds":
        key, values = "data.test_fold", ",".join(map(str, FOLDS)) if values == "all" else values
    elif key == "seeds":
        key = "seed"
    span = re.fullmatch(r"(\d+)\.\.(\d+)", values)
    chosen = [str(n) for n in range(int(span[1]), int(span[2]) + 1)] if span else _split(values)
    if not chosen or len(set(chosen)) != len(chosen):
        raise UserError(f"{text!r}: the values of {key} must be there, and differ")
    return key, chosen


def grid(name: str, axes: Sequence[str]) -> Sweep:
    """Every combination of the axes' values; the last axis changes fastest.

    Raises:
        UserError: an axis is wrong, or two name the same setting.
    """
    parsed = [axis(text) for text in axes]
    keys = [key for key, _ in parsed]
    if len(set(keys)) != len(keys):
        raise UserError(f"a sweep has one axis per setting, not two of {max(keys, key=keys.count)}")
    combinations = itertools.product(*([f"{key}={value}" for value in values] for key, values in parsed))
    return listed(name, [list(combination) for combination in combinations])


def listed(name: str, members: Sequence[Sequence[str]]) -> Sweep:
    """A sweep of the given lists of overrides.

    Raises:
        UserError: there are no members, or two are the same.
    """
    if not members:
        raise UserError("a sweep needs --grid KEY=A,B or --member 'KEY=A KEY=B'")
    names = [f"{name}.{'.'.join(_word(override) for override in overrides)}" for overrides in members]
    if any(len(one) > 64 for one in names):
        names = [f"{name}.{number:03d}" for number in range(len(members))]
    if len(set(names)) != len(names):
        raise UserError(f"two members of the sweep are the same: {max(names, key=names.count)}")
    made = zip(names, members, strict=True)
    return Sweep(name=name, members=[Member(name=one, overrides=list(overrides)) for one, overrides in made])


def _split(values: str) -> list[str]:
    """At commas outside of brackets."""
    return [part for part in re.split(r",(?![^\[{(]*[\]})])", values) if part]


def _word(override: str) -> str:
    """ "optim.lr=1e-4" -> "lr-1e-4"."""
    key, _, value = override.partition("=")
    return re.sub(r"[^A-Za-z0-9_-]+", "_", f"{key.rsplit('.', 1)[-1]}-{value}").strip("_")
