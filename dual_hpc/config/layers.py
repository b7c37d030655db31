"""A configuration in layers: a preset, a YAML file over it, `key=value` of the command line over both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from dual_hpc.config.schema import RunConfig

PRESET = "preset"  # the key that names the layer below; no setting of a run, whose file holds every value


def merge(below: Mapping[str, Any], above: Mapping[str, Any], section: type[BaseModel] = RunConfig) -> dict[str, Any]:
    """`above` laid over `below`: sections key by key; a setting, also one that is a mapping or a list, is replaced.

    A section without content (`data:` with every line commented out) changes nothing.

    Args:
        section: the schema of both.
    """
    merged = dict(below)
    for key, value in above.items():
        field = section.model_fields.get(key)
        inner = field.annotation if field is not None else None
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            under = merged.get(key)
            if value is None and under is not None:
                continue
            if isinstance(value, Mapping) and isinstance(under, Mapping):
                value = merge(under, value, inner)
        merged[key] = value
    return merged
