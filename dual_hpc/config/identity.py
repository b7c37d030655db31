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
    "training": (
        *("log_every", "collective_timeout_minutes", "hang_minutes", "activation_checkpointing"),
        *("profile_steps", "profile_ranks", "memory_history"),
    ),
}

# How long a run is: may be raised when it continues, finished or not. `optim.decay_steps` then keeps the schedule of
# the learning rate as it was planned.
RAISABLE = ("training.epochs", "training.max_steps")
DECAY = "optim.decay_steps"

# Settings that are mappings with keys of their own.
_WHOLE = ("config", "options", "split", "classes", "protocol_definition")


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
    now = immutable_settings(config)
    allowed = {key for key in RAISABLE if _is_raised(began.get(key, now[key]), now[key])}
    if allowed and began.get(DECAY) is None:
        allowed.add(DECAY)
    for key, value in now.items():
        if key in began and began[key] != value and key not in allowed:
            return f"{key}: the run began with {began[key]}, not {value}; it cannot change within a run"
    return None


def _is_raised(before: int | None, after: int | None) -> bool:
    """True for more steps or epochs; None is without a limit."""
    return before is not None and (after is None or after > before)


def is_prolonged(config: RunConfig, wanted: RunConfig) -> bool:
    """True if `wanted` is the same training, only longer: see `RAISABLE`."""
    before, after = result_settings(config), result_settings(wanted)
    raised = {key for key in RAISABLE if _is_raised(before[key], after[key])}
    if not raised:
        return False
    free = raised | {DECAY} if before[DECAY] is None else raised
    return all(before.get(key) == after.get(key) for key in {*before, *after} - free)


def may_change(key: str) -> bool:
    """True if an existing run may continue with another value of this setting."""
    section, _, name = key.partition(".")
    return bool(name) and (section == "launch" or name in MUTABLE.get(section, ()))


def mutable_changes(config: RunConfig, wanted: RunConfig) -> dict[str, dict[str, Any]]:
    """Section -> key -> value of each mutable setting in which `wanted` differs from `config`, as plain data.

    What makes the run longer counts as well, where `wanted` is nothing but that.
    """
    before, after = config.model_dump(mode="json"), wanted.model_dump(mode="json")
    settings = {section: list(keys) for section, keys in MUTABLE.items()}
    if is_prolonged(config, wanted):
        for key in (*RAISABLE, DECAY):
            section, _, name = key.partition(".")
            settings.setdefault(section, []).append(name)
    changes = {
        section: {key: after[section][key] for key in keys if after[section][key] != before[section][key]}
        for section, keys in settings.items()
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
