"""A configuration's first error in one line that names the key and, where possible, the right one."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import get_args

from pydantic import BaseModel, ValidationError

from dual_hpc.config.schema import RunConfig
from dual_hpc.credentials import shown_value

_TEXT = 60  # characters of a wrong value that are shown
_MAPPING = "should be a mapping, KEY: VALUE in braces or below it"
_PLAIN = dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), _MAPPING)


def explain(error: ValidationError, section: type[BaseModel] = RunConfig) -> str:
    """One line: unknown keys come first, because a misspelt key also makes others look missing.

    Args:
        section: the schema that was violated.
    """
    errors = error.errors()
    first = next((m for m in errors if m["type"] == "extra_forbidden"), errors[0])
    location = [str(part) for part in first["loc"]]
    where = ".".join(location)
    if first["type"] == "extra_forbidden":
        return f"{where}: unknown key; {_advice(location, section)}"
    if first["type"] == "missing":
        return f"{where}: is missing"
    message = _PLAIN.get(first["type"], first["msg"].removeprefix("Value error, "))
    if not where and first["type"] == "value_error":  # what keys say together
        return message
    if first["type"] == "too_short" and first["ctx"]["min_length"] == 1:
        message = "give one or more"
    got = shown_value(where, repr(first["input"]))
    shown = got if len(got) <= _TEXT else f"{got[:_TEXT]}..."
    if first["type"] == "string_type" and isinstance(first["input"], (bool, int, float)):
        message += """: put it in quotes, '"..."' in a shell"""
    if first["type"] in ("list_type", "tuple_type"):
        message += ": write [A, B]"
    return f"{where}: {message[:1].lower()}{message[1:]} (got {shown})"


def first_reason(error: ValidationError) -> str:
    """What is wrong with a file of records, in a few words that name the key."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def _advice(location: list[str], schema: type[BaseModel]) -> str:
    *section, wrong = location
    keys = list(_all_keys(schema))
    if wrong in keys and "." in wrong:
        return f"in a file write {wrong.split('.')[-1]}: below {wrong.split('.')[0]}:"
    here = [key.rsplit(".", 1)[-1] for key in keys if key.split(".")[:-1] == section]
    near = difflib.get_close_matches(wrong.lower(), here, n=1, cutoff=0.85)
    near += [name for name in here if wrong.lower() in name.split("_")]
    near += difflib.get_close_matches(wrong.lower(), here, n=1, cutoff=0.7)
    found = [".".join([*section, name]) for name in near]
    found += [key for key in keys if key.rsplit(".", 1)[-1] == wrong]
    found += [".".join([*section, name]) for name in difflib.get_close_matches(wrong.lower(), here, n=1, cutoff=0.5)]
    if found:
        return f"did you mean {found[0]}?"
    return f"known here: {', '.join(here)}"


def _all_keys(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in section.model_fields.items():
        yield prefix + name
        options = [field.annotation, *get_args(field.annotation)]
        for option in options:
            if isinstance(option, type) and issubclass(option, BaseModel):
                yield from _all_keys(option, f"{prefix}{name}.")
