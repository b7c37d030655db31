"""The values in a protocol's file: compared as text in lower case; `1001..1018` is a range; a name is never guessed."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_LARGEST_RANGE = 100_000


def as_text(value: Any) -> str:
    """A value of a column as protocols compare it; an accented letter may be one character here and two there."""
    return unicodedata.normalize("NFC", str(value)).strip().lower()


def _listed(value: Any) -> Any:
    """One value or a list of them, with ranges written out."""
    if value == []:
        raise ValueError("give one value or more")
    found: list[str] = []
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict | list) or one is None:
            raise ValueError("should be a value or a list of values")
        span = _RANGE.fullmatch(as_text(one))
        if span is None:
            found.append(as_text(one))
            continue
        first, last = int(span[1]), int(span[2])
        if not first <= last < first + _LARGEST_RANGE:
            raise ValueError(f"{one} is not a range")
        found += [str(number).zfill(len(span[1])) for number in range(first, last + 1)]
    return found


def _by_name(value: Any) -> Any:
    """Names may be numbers in YAML, and nothing that YAML reads as something else than is written."""
    if not isinstance(value, dict):
        return value
    for name in value:
        if name is None or isinstance(name, bool | float):
            raise ValueError(f"a name that YAML reads as {name}: put it in quotes")
        if not str(name).strip() or not str(name).isprintable():
            raise ValueError(f"{str(name)!r} is no name")
    return {str(name).strip(): listed for name, listed in value.items()}


def _number(value: Any) -> Any:
    """`true` is none, although Python takes it for 1."""
    if isinstance(value, bool):
        raise ValueError("should be a number")
    return value


def _protocol_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("a name has letters, digits, _ - and ., at most 64; write `name: WORD` into the file")
    return name


Number = Annotated[float, BeforeValidator(_number)]
ProtocolName = Annotated[str, AfterValidator(_protocol_name)]
Values = Annotated[list[str], BeforeValidator(_listed)]
Table = Annotated[dict[str, Values], BeforeValidator(_by_name)]  # name -> values of a column
