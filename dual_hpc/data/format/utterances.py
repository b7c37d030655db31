"""The metadata of all samples as a sequence that makes each `Utterance` when it is asked for.

What is decided over all of them (labels, splits, groups) is decided by column: `coded` gives the distinct values of a
field and which of them each utterance has, for these and for any list of utterances.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from dual_hpc.data.format.columns import CODED, Columns
from dual_hpc.data.format.sample import Utterance
from dual_hpc.errors import UserError

_FEW = 4096  # distinct values of a column that are kept as objects


class Utterances(Sequence[Utterance]):
    """Metadata by number, over the columns of one or several folders."""

    def __init__(self, columns: Sequence[Columns]):
        self._columns = list(columns)
        self._end = list(accumulate(map(len, self._columns)))
        self._few: dict[tuple[int, str], list[Any]] = {}  # values of a folder's column

    def __len__(self) -> int:
        return self._end[-1] if self._end else 0

    @overload
    def __getitem__(self, number: int) -> Utterance: ...

    @overload
    def __getitem__(self, number: slice) -> list[Utterance]: ...

    def __getitem__(self, number: int | slice) -> Utterance | list[Utterance]:
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        number = range(len(self))[number]  # counts from the end, or raises, as a list
        folder = bisect_right(self._end, number)
        own = number - (self._end[folder - 1] if folder else 0)
        columns = self._columns[folder]
        try:
            return columns.meta(own, {name: self._value(folder, name, own) for name in CODED})
        except ValueError as error:
            raise _damaged(error) from error

    @property
    def folders(self) -> int:
        """How many there are; within one, no two samples have the same key."""
        return len(self._columns)

    def keys(self) -> list[str]:
        """As the function `keys_of`."""
        return [key.decode() for columns in self._columns for key in columns.keys.to_list()]

    def coded(self, field: str) -> tuple[NDArray[Any], list[Any]]:
        """As the function `coded`."""
        try:
            parts = [(one.codes, _typed(field, one.values())) for one in (each.fields[field] for each in self._columns)]
        except ValueError as error:
            raise _damaged(error) from error
        if len(parts) == 1:
            return parts[0]
        code_of: dict[Any, int] = {}
        codes = [
            np.array([code_of.setdefault(_name(value), len(code_of)) for value in values], np.int64)[own]
            for own, values in parts
        ]
        distinct = {_name(value): value for _, values in parts for value in values}
        return np.concatenate([np.zeros(0, np.int64), *codes]), [distinct[name] for name in code_of]

    def _value(self, folder: int, field: str, own: int) -> Any:
        """A field of sample `own` of a folder."""
        column = self._columns[folder].fields[field]
        code = int(column.codes[own])
        if len(column.texts) > _FEW:
            return json.loads(column.texts[code])
        if (folder, field) not in self._few:
            self._few[folder, field] = column.values()
        return self._few[folder, field][code]


def coded(utterances: Sequence[Utterance], field: str) -> tuple[NDArray[Any], list[Any]]:
    """One field of all utterances: the code of each [n], and the distinct values by code, each of which occurs."""
    if isinstance(utterances, Utterances):
        return utterances.coded(field)
    values = [getattr(utterance, field) for utterance in utterances]
    code_of: dict[Any, int] = {}
    codes = [code_of.setdefault(_name(value), len(code_of)) for value in values]
    distinct = dict(zip(map(_name, values), values, strict=True))
    return np.array(codes, np.int64), [distinct[name] for name in code_of]


def keys_of(utterances: Sequence[Utterance]) -> list[str]:
    """The key of each."""
    return utterances.keys() if isinstance(utterances, Utterances) else [one.key for one in utterances]


def _typed(field: str, values: list[Any]) -> list[Any]:
    """Values of a file.

    Raises:
        ValueError: one is of another type than the field.
    """
    each: Any = Utterance.model_fields[field].annotation
    found: list[Any] = TypeAdapter(list[each]).validate_python(values)
    return found


def _name(value: Any) -> Any:
    return tuple(value.items()) if isinstance(value, dict) else value


def _damaged(error: ValueError) -> UserError:
    return UserError(f"data.shards: the metadata of the samples are damaged ({error}); remove index.columns")
