"""A sweep: runs that differ in a few settings, as one job array. Which ones is a pure function of its axes."""

from __future__ import annotations

import itertools
import json
import math
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dual_hpc.config.validation_errors import first_reason
from dual_hpc.config.yaml_text import read_yaml
from dual_hpc.errors import UserError
from dual_hpc.files.atomic import write_atomically
from dual_hpc.files.regular_file import read_bytes
from dual_hpc.run.directory import RunDir

FOLD = "data.test_fold"
REPLICATES = (FOLD, "seed")  # members that differ in nothing else are repetitions of one experiment
LARGEST = 10_000  # members
FoldsOf = Callable[[Sequence[str]], Sequence[int | str]]  # a member's other settings -> the folds of its protocol
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Member(BaseModel):
    """One run of a sweep: its name, and what sets it apart."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=f"^{_NAME.pattern}$")
    overrides: list[str]


class Sweep(BaseModel):
    """`sweep.json` in the folder of a sweep, STORE/sweeps/NAME."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    members: list[Member] = Field(min_length=1)


@dataclass(frozen=True)
class SweepDir:
    """A sweep in a store."""

    path: Path
    sweep: Sweep

    @classmethod
    def open(cls, store: Path, name: str) -> SweepDir:
        """An existing sweep.

        Raises:
            UserError: there is none of this name.
        """
        if not _NAME.fullmatch(name):
            raise UserError(f"{name!r} is not a valid name of a sweep")
        path = folder(store, name)
        try:
            return cls(path, Sweep.model_validate_json(read_bytes(path / "sweep.json")))
        except FileNotFoundError as error:
            known = ", ".join(sorted(found.parent.name for found in store.glob("sweeps/*/sweep.json"))) or "none"
            raise UserError(f"there is no sweep {name!r} in {store}; there are: {known}") from error
        except (ValidationError, OSError) as error:
            reason = first_reason(error) if isinstance(error, ValidationError) else error.strerror
            raise UserError(f"{path / 'sweep.json'} is not a valid description of a sweep ({reason})") from error

    def save(self) -> None:
        """Write `sweep.json`, last of all."""
        write_atomically(self.path / "sweep.json", self.sweep.model_dump_json(indent=2) + "\n")

    def runs(self) -> list[RunDir]:
        """The run directories of the members, in their order."""
        return [RunDir(self.path.parents[1] / "runs" / member.name) for member in self.sweep.members]


def folder(store: Path, name: str) -> Path:
    """The folder of a sweep."""
    return store / "sweeps" / name


def find_sweep(name: str, store: Path) -> SweepDir | None:
    """A sweep by its name in a store, or by its folder; None where there is none.

    Raises:
        UserError: its description cannot be read.
    """
    path = Path(name).absolute()
    if (path / "sweep.json").is_file():
        return SweepDir.open(path.parents[1], path.name)
    exists = _NAME.fullmatch(name) is not None and (folder(store, name) / "sweep.json").exists()
    return SweepDir.open(store, name) if exists else None


def axis(text: str, folds: Sequence[int | str] = ()) -> tuple[str, list[str]]:
    """`KEY=A,B,C`, `folds=all`, `folds=1,3` or `seeds=0..4` as a setting and its values.

    Args:
        folds: all that the protocol has.

    Raises:
        UserError: it is none of these, or a value comes twice.
    """
    key, separator, values = text.partition("=")
    if not separator or not key or not values:
        raise UserError(f"{text!r} is not a valid axis of a sweep: write KEY=A,B,C or folds=all or seeds=0..4")
    if key == "folds":
        if values == "all" and not folds:
            raise UserError(
                "folds=all: data.protocol has one division of these shards, as where they bring their own split, not "
                "folds; use seeds"
            )
        key = FOLD
        if values == "all":
            return key, [_fold_word(fold) for fold in folds]
    elif key == "seeds":
        key = "seed"
    span = re.fullmatch(r"(\d{1,9})\.\.(\d{1,9})", values)
    if span:
        first, last = int(span[1]), int(span[2])
        if first > last:
            raise UserError(f"{text!r} counts down: write {last}..{first}")
        _check_size(last - first + 1)
        return key, [str(number) for number in range(first, last + 1)]
    chosen = _split(values)
    twice = [value for value in chosen if chosen.count(value) > 1]
    if not any(chosen):
        raise UserError(f"{text!r} has no values")
    if not all(chosen):
        raise UserError(f"{text!r} has an empty value; write null where one is meant")
    if twice:
        raise UserError(f"{text!r}: the value {twice[0]} comes twice")
    return key, chosen


def grid(name: str, axes: Sequence[str], folds_of: FoldsOf = lambda settings: ()) -> Sweep:
    """Every combination of the axes' values; the last axis changes fastest.

    Args:
        folds_of: what `folds=all` stands for. Where members of different settings, as of two protocols, have different
            folds, each has its own, and the fold changes fastest.

    Raises:
        UserError: an axis is wrong, or two name the same setting.
    """
    place = next((number for number, text in enumerate(axes) if text == "folds=all"), None)
    parsed = [axis(text) for number, text in enumerate(axes) if number != place]
    keys = [key for key, _ in parsed] + ([FOLD] if place is not None else [])
    if len(set(keys)) != len(keys):
        raise UserError(f"a sweep has one axis per setting, not two of {max(keys, key=keys.count)}")
    _check_size(math.prod(len(values) for _, values in parsed))
    others = [[f"{key}={value}" for value in values] for key, values in parsed]
    combinations = [list(combination) for combination in itertools.product(*others)]
    if place is not None:
        folds = [[f"{FOLD}={value}" for value in axis(axes[place], folds_of(one))[1]] for one in combinations]
        _check_size(sum(map(len, folds)))
        if all(one == folds[0] for one in folds):
            whole = itertools.product(*others[:place], folds[0], *others[place:])
            return listed(name, [list(combination) for combination in whole])
        pairs = zip(combinations, folds, strict=True)
        combinations = [[*one[:place], fold, *one[place:]] for one, some in pairs for fold in some]
    return listed(name, combinations)


def members_of(words: Sequence[str]) -> list[list[str]]:
    """The overrides of each `--member 'KEY=A KEY=B'`, quoted as in a shell.

    Raises:
        UserError: a member is empty, or its quotes do not match.
    """
    found = []
    for text in words:
        try:
            overrides = shlex.split(text)
        except ValueError as error:
            raise UserError(f"--member {text!r}: {str(error).lower()}") from error
        if not overrides:
            raise UserError("--member '': a member needs a setting, as in --member 'optim.lr=1e-4 seed=1'")
        found.append(overrides)
    return found


def listed(name: str, members: Sequence[Sequence[str]]) -> Sweep:
    """A sweep of the given lists of overrides.

    Raises:
        UserError: there are no members, two are the same, or a setting is not a member's own.
    """
    if not members:
        raise UserError("a sweep needs --grid KEY=A,B or --member 'KEY=A KEY=B'")
    _check_size(len(members))
    for overrides in members:
        keys = [override.partition("=")[0].strip() for override in overrides]
        for key in keys:
            _check_own(key)
            if keys.count(key) > 1:
                raise UserError(f"{key}: set twice in the member {' '.join(overrides)}")
    if len({tuple(sorted(overrides)) for overrides in members}) != len(members):
        twice = [overrides for overrides in members if list(map(sorted, members)).count(sorted(overrides)) > 1]
        raise UserError(f"two members of the sweep are the same: {' '.join(twice[0])}")
    names = [f"{name}.{'.'.join(_word(override) for override in overrides)}" for overrides in members]
    if len(set(names)) != len(names) or any(len(one) > 64 for one in names):
        names = [f"{name}.{number:03d}" for number in range(len(members))]
    if any(len(one) > 64 for one in names):
        raise UserError(f"name={name}: too long for a sweep, whose members add to it; at most {64 - 5} characters")
    made = zip(names, members, strict=True)
    return Sweep(name=name, members=[Member(name=one, overrides=list(overrides)) for one, overrides in made])


def experiment(overrides: Sequence[str]) -> tuple[str, ...]:
    """What a member has in common with its repetitions: its settings without fold and seed."""
    return tuple(override for override in overrides if override.partition("=")[0].strip() not in REPLICATES)


def _check_own(key: str) -> None:
    section = key.split(".")[0]
    if section in ("name", "store", "tracking"):
        raise UserError(f"{key}: the members of a sweep share it; it cannot be an axis")
    if section == "launch":
        raise UserError(f"{key}: the members of a sweep share one job array: launch.* cannot be an axis")


def _check_size(members: int) -> None:
    if members > LARGEST:
        raise UserError(f"the sweep would have {members:,} members; {LARGEST:,} are the most")


def _split(values: str) -> list[str]:
    """At commas outside of brackets and quotes."""
    parts, depth, quote = [""], 0, ""
    for sign in values:
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"" and parts[-1].rstrip()[-1:] in ("", *"[{,:"):  # inside of a word it is a letter, as in YAML
            quote = sign
        elif sign in "[{":
            depth += 1
        elif sign in "]}":
            depth = max(0, depth - 1)
        if sign == "," and not quote and not depth:
            parts.append("")
        else:
            parts[-1] += sign
    return [part.strip() for part in parts]


def _word(override: str) -> str:
    """ "optim.lr=1e-4" -> "lr-1e-4", "data.protocol=where/mine.yaml" -> "protocol-mine"."""
    key, _, value = override.partition("=")
    value = Path(value).stem if value.endswith((".yaml", ".yml")) else value
    return re.sub(r"[^A-Za-z0-9_-]+", "_", f"{key.rsplit('.', 1)[-1]}-{value}").strip("_")


def _fold_word(fold: int | str) -> str:
    """A fold as an override gives it: a name that YAML would read as something else, as `no` and `1.5`, in quotes."""
    if isinstance(fold, int):
        return str(fold)
    try:
        return fold if read_yaml(fold) == fold else json.dumps(fold, ensure_ascii=False)
    except ValueError:
        return json.dumps(fold, ensure_ascii=False)
