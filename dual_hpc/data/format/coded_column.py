"""A column in which the same values come again and again: each value once, and a code per sample."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import to_jsonable_python

from dual_hpc.data.format.text_column import TextColumn

_CODE_TYPES = (np.uint8, np.uint16, np.uint32)
Codes = NDArray[np.unsignedinteger[Any]]


class CodedColumn:
    """Values of samples, as JSON.

    Args:
        codes: of each sample, unsigned [n].
        texts: the distinct values, by code, as ASCII JSON.
    """

    def __init__(self, codes: Codes, texts: TextColumn):
        self.codes, self.texts = codes, texts

    def values(self) -> list[Any]:
        """The distinct values, by code.

        Raises:
            ValueError: they are not JSON.
        """
        found: list[Any] = json.loads(b"[" + b",".join(self.texts.to_list()) + b"]")
        if len(found) != len(self.texts):
            raise ValueError("a value is several")
        return found

    def is_sound(self) -> bool:
        """Whether every sample has a value."""
        return self.texts.is_sound() and (len(self.codes) == 0 or int(self.codes.max()) < len(self.texts))


def _text(value: Any) -> bytes:
    """As ASCII JSON."""
    plain = to_jsonable_python(value, exclude_none=True) if isinstance(value, tuple) else value
    return json.dumps(plain, separators=(",", ":")).encode()


class CodedColumnBuilder:
    """Gives codes to values as they come."""

    def __init__(self) -> None:
        self._code_of: dict[Any, int] = {}
        self._texts: list[bytes] = []
        self._parts: list[Codes] = []

    def add(self, values: Sequence[Any]) -> None:
        """Append samples. Values are None, bools, numbers, strings, dicts of strings and tuples of frozen models."""
        names = values
        if any(isinstance(value, dict) for value in values):
            names = [tuple(value.items()) if isinstance(value, dict) else value for value in values]
        known, value_of = self._code_of, dict(zip(names, values, strict=True))
        for name, value in value_of.items():
            if name not in known:
                known[name] = len(known)
                self._texts.append(_text(value))
        self._parts.append(np.fromiter(map(known.__getitem__, names), np.uint32, len(names)))

    def build(self) -> CodedColumn:
        """The column, with the smallest codes that will do."""
        kind = next(kind for kind in _CODE_TYPES if len(self._texts) <= np.iinfo(kind).max)
        codes: Codes = np.concatenate([np.zeros(0, kind), *self._parts], dtype=kind, casting="unsafe")
        self._parts.clear()
        return CodedColumn(codes, TextColumn.of(self._texts))
