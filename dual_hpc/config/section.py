"""What all sections of the configuration share: unknown keys are refused, and empty values have a meaning."""

from __future__ import annotations

import math
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

_LARGEST = 2**32


class Section(BaseModel):
    """A part of the configuration; a key that it does not know is an error, not a silent default."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _coerce(cls, value: Any, info: ValidationInfo) -> Any:
        """An empty value becomes an empty text, list or mapping, and an empty section its defaults.

        `true` is not a valid number, although Python takes it for 1; neither is one that overflows clocks and counters.
        """
        kind = cls.model_fields[info.field_name or ""].annotation
        holder = get_origin(kind) or kind
        if value is None and isinstance(holder, type) and issubclass(holder, Section | str | list | dict):
            return {} if issubclass(holder, Section) else holder()
        if isinstance(value, str) and ("\0" in value or not _is_unicode(value)):
            raise ValueError("input should be text, without NUL and without half of a surrogate pair")
        if isinstance(value, bool) and {int, float} & {kind, *get_args(kind)}:
            raise ValueError("input should be a number")
        if isinstance(value, (int, float)) and _LARGEST < abs(value) < math.inf:
            raise ValueError(f"input should be at most {_LARGEST:,}")
        return value


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
