"""Read a preset or a YAML file, apply `key=value` overrides, and say which key is wrong if one is."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from dual_hpc.config.paths import default_store, expand
from dual_hpc.config.schema import RunConfig
from dual_hpc.errors import UserError

PRESETS = Path(__file__).parent / "presets"


def preset_names() -> list[str]:
    """Names of the presets that ship with the package."""
    return sorted(p.stem for p in PRESETS.glob("*.yaml"))


def load_config(source: str | Path | None = None, overrides: Iterable[str] = ()) -> RunConfig:
    """The configuration of a preset name or YAML file, with `section.key=value` overrides applied.

    Raises:
        UserError: unknown preset, unreadable file, unknown key (the nearest known key is named) or bad value.
    """
    tree: dict[str, Any] = {} if source is None else _read(source)
    for override in overrides:
        key, sep, text = override.partition("=")
        if not sep or not key.strip():
            raise UserError(f"override {override!r} is not of the form section.key=value")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UserError(f"{key}: {text!r} is not a YAML value") from error
        _put(tree, key.strip().split("."), value, override)
    config = validate(tree)
    config.data.shards = [expand(folder, "data.shards") for folder in config.data.shards]
    config.store = expand(config.store, "store") if config.store else str(default_store())
    for name in ("audio", "video", "text"):
        encoder = getattr(config.model, name)
        if encoder.path:
            encoder.path = expand(encoder.path, f"model.{name}.path")
    return config


def validate(tree: Mapping[str, Any]) -> RunConfig:
    """A `RunConfig` from plain data; the first mistake becomes one line that names the key."""
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        raise UserError(_explain(error)) from error


def save_config(config: RunConfig, path: Path) -> None:
    """Write the resolved configuration as YAML (keys in schema order)."""
    path.write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False), encoding="utf-8")


def config_hash(config: RunConfig) -> str:
    """A short identity of everything that decides the result: launch and tracking settings are left out."""
    decisive = config.model_dump(mode="json", exclude={"launch", "tracking", "store"})
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]


def _read(source: str | Path) -> dict[str, Any]:
    path = Path(source)
    if path.suffix not in (".yaml", ".yml"):
        path = PRESETS / f"{source}.yaml"
        if not path.exists():
            known = ", ".join(preset_names())
            raise UserError(f"preset {str(source)!r} is unknown: use one of {known}, or a .yaml file")
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"configuration {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"configuration {path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree or {}, dict):
        raise UserError(f"configuration {path} must be a mapping of sections")
    return tree or {}


def _put(tree: dict[str, Any], keys: list[str], value: Any, override: str) -> None:
    for key in keys[:-1]:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise UserError(f"override {override!r}: {key} is a value, not a section")
    tree[keys[-1]] = value


def _explain(error: ValidationError) -> str:
    mistakes = error.errors()
    first = next((m for m in mistakes if m["type"] == "extra_forbidden"), mistakes[0])
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] != "extra_forbidden":
        return f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]} (got {first['input']!r})"
    known = _known_keys(first["loc"][:-1])
    near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1, cutoff=0.5)
    if not near:
        return f"{where}: unknown key; known here: {', '.join(known)}"
    return f"{where}: unknown key; did you mean {'.'.join([*map(str, first['loc'][:-1]), near[0]])}?"


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    section: type[BaseModel] = RunConfig
    for part in location:
        annotation = section.model_fields[str(part)].annotation
        options = [annotation, *get_args(annotation)]
        section = next(t for t in options if isinstance(t, type) and issubclass(t, BaseModel))
    return list(section.model_fields)
