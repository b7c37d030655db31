"""Which settings decide a run's numbers, and which may change when the run continues."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from dual_hpc.config.schema import CheckpointConfig, RunConfig

# How a job is started and where its results are shown: given to every job again.
ENVIRONMENT = ("launch", "tracking", "store")

# How a run is saved, supplied with data, fitted into memory and watched, by section: no number depends on it, so it may
# change.
MUTABLE = {
    "checkpoint": tuple(CheckpointConfig.model_fields),
    "data": ("workers", "read_ahead", "bad_sample_limit"),
    "training": ("log_every", "collective_timeout_minutes", "hang_minutes", "activation_checkpointing"),
}

_WHOLE = ("config", "options", "split", "classes")  # settings that are mappings with keys of their own


def result_settings(config: RunConfig) -> dict[str, Any]:
    """Every setting that decides the result, as plain data by its dotted key."""
    settings = dict(flat(config.model_dump(mode="json", exclude=set(ENVIRONMENT))))
    return {key: value for key, value in settings.items() if not may_change(key)}


def config_hash(config: RunConfig) -> str:
    """A short identity of everything that decides the result."""
    return hashlib.sha256(json.dumps(result_settings(config), sort_keys=True).encode()).hexdigest()[:16]


def immutable_settings(config: RunConfig) -> dict[str, Any]:
    """What must be unchanged when a run continues: `result_settings` without what only says where things are."""
    return {key: value for key, value in result_settings(config).items() if not _is_location(key)}


def differences(config: RunConfig, wanted: RunConfig) -> list[str]:
    """The settings that decide the result in which two configurations differ: "optim.lr=0.001, not 0.0003"."""
    before, after = result_settings(config), result_settings(wanted)
    keys = [key for key in dict.fromkeys([*before, *after]) if before.get(key) != after.get(key)]
    return [f"{key}={_short(before.get(key))}, not {_short(after.get(key))}" for key in keys]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def first_change(began: Mapping[str, Any], config: RunConfig) -> str | None:
    """The first immutable setting that is not what it was when the run began, as a message; None if all are.

    Args:
        began: the `immutable_settings` of then. Settings that did not exist then are not compared.
    """
    for key, value in immutable_settings(config).items():
        if key in began and began[key] != value:
            return f"{key}: the run began with {began[key]}, not {value}; it cannot change within a run"
    return None


def may_change(key: str) -> bool:
    """True if an existing run may continue with another value of this setting."""
    section, _, name = key.partition(".")
    return bool(name) and (section == "launch" or name in MUTABLE.get(section, ()))


def mutable_changes(config: RunConfig, wanted: RunConfig) -> dict[str, dict[str, Any]]:
    """Section -> key -> value of each mutable setting in which `wanted` differs from `config`, as plain data."""
    before, after = config.model_dump(mode="json"), wanted.model_dump(mode="json")
    changes = {
        section: {key: after[section][key] for key in keys if after[section][key] != before[section][key]}
        for section, keys in MUTABLE.items()
    }
    return {section: values for section, values in changes.items() if values}


def _is_location(key: str) -> bool:
    return key in ("name", "data.shards") or key.endswith(".path")


def different_settings(one: RunConfig, other: RunConfig) -> dict[str, tuple[Any, Any]]:
    """Dotted key -> the two values, as plain data, of every setting in which two configurations differ."""
    before, after = dict(flat(one.model_dump(mode="json"))), dict(flat(other.model_dump(mode="json")))
    keys = [key for key in dict.fromkeys([*before, *after]) if before.get(key) != after.get(key)]
    return {key: (before.get(key), after.get(key)) for key in keys}


def flat(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of a configuration's plain data; a setting that is a mapping of its own keys stays whole."""
    for key, value in tree.items():
        if isinstance(value, dict) and key not in _WHOLE:
            yield from flat(value, f"{above}{key}.")
        else:
            yield above + key, value
