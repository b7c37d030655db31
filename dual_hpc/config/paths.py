"""Paths: they come from the environment, so that a configuration moves between clusters unchanged."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from dual_hpc.errors import UserError
from dual_hpc.files.real_path import real_path

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}|\$(\w+)")


def expand(text: str, setting: str, environ: Mapping[str, str] | None = None) -> str:
    """Replace `$NAME`, `${NAME}` and `${NAME:-default}`; an unset name without default is the user's to fix.

    Args:
        text: the configured value.
        setting: the key it was written under, for the message.
    """
    env = os.environ if environ is None else environ

    def value(match: re.Match[str]) -> str:
        name = match.group(1) or match.group(3)
        if env.get(name):
            return env[name]
        if match.group(2) is not None:
            return match.group(2)
        raise UserError(f"{setting}: the environment variable {name} is not set (value {text!r})")

    if "\0" in text:
        raise UserError(f"{setting}: a path must not contain the character NUL (value {text!r})")
    path = os.path.expanduser(_VARIABLE.sub(value, text))
    if path.startswith("~"):
        raise UserError(f"{setting}: the home folder {path.split('/')[0]} does not exist (value {text!r})")
    return storable(path, setting)


def storable(path: str, setting: str) -> str:
    """The path as it is, if a configuration can hold it.

    Raises:
        UserError: it is not UTF-8 text.
    """
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"{setting}: the path {path} is not UTF-8: rename the folder, or work in another one"
        ) from error
    return path


def default_store(environ: Mapping[str, str] | None = None) -> Path:
    """The store used when none is configured: $DUAL_STORE, else a folder in $SCRATCH or $WORK, else ./store."""
    env = os.environ if environ is None else environ
    if env.get("DUAL_STORE"):
        return Path(env["DUAL_STORE"])
    for name in ("SCRATCH", "WORK"):
        if env.get(name):
            return Path(env[name]) / "dual_hpc"
    return Path("store")


def runs_dir(store: Path) -> Path:
    """Folder of all run directories of a store."""
    return store / "runs"


def mlflow_uri(store: Path) -> str:
    """The sqlite database of a store, as MLflow spells it."""
    return f"sqlite:///{real_path(store) / 'mlflow.db'}"
