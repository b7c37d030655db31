"""`data.protocol=FILE.yaml`: a protocol of the user's own becomes part of the configuration, so that a run has it.

Here it is plain data; `dual_hpc.evaluation.protocols` says what it may say.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from dual_hpc.config.paths import expand
from dual_hpc.config.yaml_file import read_yaml_file
from dual_hpc.errors import UserError
from dual_hpc.files.regular_file import read_bytes

_SUFFIXES = (".yaml", ".yml")


def with_protocol_file(data: dict[str, Any]) -> dict[str, Any]:
    """The section `data`, with the name and the content of a protocol's file in place of its path.

    A definition that is of another protocol than `data.protocol` names is left out: an override chose another.

    Raises:
        UserError: the file cannot be read, is not YAML or has no name.
    """
    named = data.get("protocol")
    if not isinstance(named, str) or not named.endswith(_SUFFIXES):
        defined = data.get("protocol_definition")
        if isinstance(defined, dict) and isinstance(named, str) and defined and defined.get("name") != named:
            return {key: value for key, value in data.items() if key != "protocol_definition"}
        return data
    path = Path(expand(named, "data.protocol"))
    tree = {"name": path.stem, **read_yaml_file(path, "data.protocol: ", "a mapping (name, classes, folds ...)")}
    if not isinstance(tree["name"], str) or tree["name"].endswith(_SUFFIXES):
        raise UserError(f"data.protocol: {path}: name: a word, such as {path.stem}")
    folds = tree.get("folds")
    if isinstance(folds, dict) and isinstance(folds.get("file"), str):
        tree["folds"] = {**folds, **_found(path.parent / expand(folds["file"], "folds.file"))}
    return {**data, "protocol": tree["name"], "protocol_definition": tree}


def _found(path: Path) -> dict[str, str]:
    """Where a file of folds is, and what it holds."""
    try:
        content = read_bytes(path)
    except OSError as error:
        raise UserError(f"data.protocol: folds.file {path} cannot be read: {error.strerror}") from error
    return {"file": str(path.absolute()), "sha256": hashlib.sha256(content).hexdigest()}
