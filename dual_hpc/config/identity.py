"""What of a configuration decides a run's numbers, and what may change while the run goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from dual_hpc.config.schema import CheckpointConfig, RunConfig

# How a job is started and where its results are shown: told anew to every job.
SURROUNDINGS = ("launch", "tracking", "store")

# How a run is kept alive, fed and watched, by section: the same numbers come out, so it may go on with other values.
FREE = {
    "checkpoint": tuple(CheckpointConfig.model_fields),
    "data": ("workers", "read_ahead", "bad_sample_limit"),
    "training": ("log_every", "collective_timeout_minutes", "hang_minutes"),
}


def decisive(config: RunConfig) -> dict[str, Any]:
    """Every setting that decides the result, as plain data by its dotted key."""
    settings = dict(_flat(config.model_dump(mode="json", exclude=set(SURROUNDINGS))))
    return {key: value for key, value in settings.items() if not may_change(key)}


def config_hash(config: RunConfig) -> str:
    """A short identity of everything that decides the result."""
    return hashlib.sha256(json.dumps(decisive(config), sort_keys=True).encode()).hexdigest()[:16]


def fixed(config: RunConfig) -> dict[str, Any]:
    """What a run must find unchanged to go on: `decisive` without what only says where things lie."""
    return {key: value for key, value in decisive(config).items() if not _says_where(key)}


def changed_since(began: Mapping[str, Any], config: RunConfig) -> str | None:
    """Which fixed setting is not what it was when the run began, in words; None if all are.

    Args:
        began: what `fixed` said then. Settings that did not exist then are not compared.
    """
    for key, value in fixed(config).items():
        if key in began and began[key] != value:
            return f"{key}: the run began with {began[key]}, not {value}; it is fixed for a run"
    return None


def may_change(key: str) -> bool:
    """True if a run that exists may go on with another value of this setting."""
    section, _, name = key.partition(".")
    return bool(name) and (section == "launch" or name in FREE.get(section, ()))


def with_free_settings(config: RunConfig, wanted: RunConfig) -> RunConfig:
    """`config` with those settings of `wanted` that decide nothing."""
    tree, other = config.model_dump(), wanted.model_dump()
    for section, keys in FREE.items():
        tree[section].update({key: other[section][key] for key in keys})
    return RunConfig.model_validate(tree)


def _says_where(key: str) -> bool:
    return key in ("name", "data.shards") or key.endswith(".path")


def _flat(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict) and key != "config":  # an encoder's own: its keys are not ours
            yield from _flat(value, f"{above}{key}.")
        else:
            yield above + key, value
