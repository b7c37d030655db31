"""Read a preset or a YAML file and apply `key=value` overrides; an error names the key."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dual_hpc.config.added import BEFORE, missing_settings
from dual_hpc.config.consistency import check_model, check_training
from dual_hpc.config.layers import PRESET, merge
from dual_hpc.config.paths import default_store, expand, storable
from dual_hpc.config.protocol_file import with_protocol_file
from dual_hpc.config.schema import RunConfig
from dual_hpc.config.validation_errors import explain
from dual_hpc.config.yaml_file import read_yaml_file
from dual_hpc.config.yaml_text import read_yaml, write_yaml
from dual_hpc.credentials import HIDDEN, first_secret, shown_value, without_secrets_in_argument
from dual_hpc.errors import UserError
from dual_hpc.files.atomic import write_atomically
from dual_hpc.modality import Modality

AUTO = "auto"  # a value that settings which were numbers once may have, and then their default
PRESETS = Path(__file__).parent / "presets"


def preset_names() -> list[str]:
    """Names of the presets that ship with the package."""
    return sorted(p.stem for p in PRESETS.glob("*.yaml"))


def load_config(source: str | Path | None = None, overrides: Iterable[str] = ()) -> RunConfig:
    """The configuration of a preset name or YAML file, with `section.key=value` overrides applied.

    `preset: NAME` in a file, or `preset=NAME` among the overrides, which wins, puts that preset below the file.

    Raises:
        UserError: unknown preset, unreadable file, unknown key (the nearest known key is named) or bad value.
    """
    tree: dict[str, Any] = {} if source is None else _read(source)
    for section, name in missing_settings(tree):
        tree[section][name] = BEFORE[section, name]
    values = [_override(override) for override in overrides]
    below = tree.pop(PRESET, None)
    for value in (value for keys, value in values if keys == [PRESET]):
        below = value
    if below is not None:
        if not isinstance(below, str) or below not in preset_names():
            raise _unknown_preset(below, f"{PRESET}: ")
        tree = merge(_read(below), tree)
    for keys, value in values:
        if keys != [PRESET]:
            _put(tree, keys, value)
    if isinstance(tree.get("data"), dict):
        tree["data"] = with_protocol_file(tree["data"])
    config = validate(tree)
    config.data.shards = [expand(folder, "data.shards") for folder in config.data.shards]
    config.store = expand(config.store, "store") if config.store else storable(str(default_store()), "store")
    for name in Modality:
        encoder = getattr(config.model, name)
        if encoder.path:
            encoder.path = expand(encoder.path, f"model.{name}.path")
    return config


def validate(tree: Mapping[str, Any]) -> RunConfig:
    """A `RunConfig` from plain data; the first mistake becomes one line that names the key."""
    try:
        config = RunConfig.model_validate(tree)
    except ValidationError as error:
        said = explain(error)
        shows = HIDDEN in said or without_secrets_in_argument(str(error)) != str(error)
        raise UserError(said) from None if shows else error  # whose own message quotes the values
    check_model(config.model)
    check_training(config.training)
    return config


def require_no_secret(config: RunConfig) -> None:
    """Refuse a configuration that would write a password or a token into the run's folder, MLflow and logs.

    Raises:
        UserError: names the setting, not what it holds.
    """
    found = first_secret(config.model_dump(mode="json"))
    if found is None:
        return
    key, what = found
    if key == "tracking.uri":
        raise UserError(
            f"{key}: {what} stands in the address and would be written into the run; leave it out and set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, in the environment"
        )
    raise UserError(f"{key}: {what} would be written into the run; leave it out and keep it in the environment")


def as_before(config: RunConfig, path: Path) -> RunConfig:
    """The configuration, with what a run's file lacks as the run has it: asked for or not, it was no choice then.

    Args:
        path: of the run's configuration.
    """
    config = config.model_copy(deep=True)
    for section, name in missing_settings(_read(path)):
        setattr(getattr(config, section), name, BEFORE[section, name])
    return config


def save_config(config: RunConfig, path: Path) -> None:
    """Write the resolved configuration as YAML (keys in schema order)."""
    write_atomically(path, write_yaml(config.model_dump(mode="json")))


def update_config(path: Path, changes: Mapping[str, Mapping[str, Any]]) -> None:
    """Set values in a saved configuration, and leave its other keys as they are.

    A run's archived code may be older than the code that calls this, and refuses keys that it does not know; and
    "auto", where it only knows numbers: that is written as a missing key, which means auto, or what was the default.

    Args:
        changes: section -> key -> value.
    """
    tree = _read(path)
    for section, values in changes.items():
        written = tree.setdefault(section, {})
        written.update({key: value for key, value in values.items() if value != AUTO})
        for key in [key for key, value in values.items() if value == AUTO]:
            written.pop(key, None)
    write_atomically(path, write_yaml(tree))


def _read(source: str | Path) -> dict[str, Any]:
    path = Path(source)
    if path.suffix not in (".yaml", ".yml"):
        if str(source) not in preset_names():
            raise _unknown_preset(str(source))
        path = PRESETS / f"{source}.yaml"
    return read_yaml_file(path, "configuration ", "a mapping of sections")


def _unknown_preset(name: object, where: str = "") -> UserError:
    known = preset_names()
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"use one of {', '.join(known)}, or a .yaml file"
    return UserError(f"{where}preset {str(name)[:200]!r} is unknown: {hint}")


def _override(override: str) -> tuple[list[str], Any]:
    """The keys of `section.key=value`, and the value."""
    key, sep, text = override.partition("=")
    keys = key.strip().split(".")
    if not sep or not all(keys):
        hint = "; write --shards before each folder of shards" if not sep and Path(override).is_dir() else ""
        raise UserError(f"override {override!r} is not of the form section.key=value{hint}")
    try:
        return keys, read_yaml(text)
    except ValueError as error:
        said = f"{key.strip()}: {shown_value(key.strip(), repr(text))} is not a YAML value ({error})"
        raise UserError(said) from None if HIDDEN in said else error


def _put(tree: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise UserError(f"override {'.'.join(keys)}={value!r}: {key} is a value, not a section")
    tree[keys[-1]] = value
