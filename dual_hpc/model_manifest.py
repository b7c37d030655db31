"""`manifest.json` of a saved model: size and SHA-256 of every file, written last, and checked before one is read.

A model whose weights have a changed byte, or whose config.json belongs to other weights, answers as if nothing were
wrong. `config.json` names the manifest, so that one that was deleted is missed as well. Models that earlier versions
or other programs saved have none; they are read with a warning.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.files.atomic import write_atomically
from dual_hpc.files.digest import FileDigest, FileDigests, find_damage, find_damages, hash_file
from dual_hpc.files.json_text import parse_json
from dual_hpc.files.regular_file import read_bytes

MANIFEST = "manifest.json"
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CARD = "README.md"  # the owner of a model writes into its card: never listed
KEY = "manifest"  # in config.json: the name of the file that must be there
FORMAT_VERSION = 1
# Whoever loads a model or a tokenizer takes such files where they lie, listed or not; a README is nobody's input.
_LOADED = {".json", ".safetensors", ".bin", ".pt", ".model", ".txt", ".py", ".jinja", ".tiktoken", ".pkl", ".msgpack"}

log = logging.getLogger(__name__)


class Manifest(BaseModel):
    """The content of `manifest.json`: path relative to the folder -> digest, and a digest of that."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    format_version: int = FORMAT_VERSION
    files: FileDigests
    digest: str


def write_manifest(folder: Path) -> None:
    """Prove the files of a saved model as they are now; the last step of saving it.

    Raises:
        OSError: it cannot be written.
        UserError: the folder holds no saved model.
    """
    config = _config(folder)
    if config is None:
        raise UserError(f"model: {folder} holds no saved model (no readable {CONFIG})")
    if config.get(KEY) != MANIFEST:
        write_atomically(folder / CONFIG, json.dumps({**config, KEY: MANIFEST}, indent=2, sort_keys=True) + "\n")
    write_atomically(folder / MANIFEST, _text({name: hash_file(folder / name) for name in _files(folder)}))


def damage_of(folder: Path) -> list[str] | None:
    """What is wrong with a saved model's files; empty if they are proven, None if nothing says what they should be."""
    try:
        data = read_bytes(folder / MANIFEST)
    except FileNotFoundError:
        return [f"{MANIFEST} is missing"] if (_config(folder) or {}).get(KEY) else None
    except OSError as error:
        return [f"{MANIFEST} cannot be read: {error.strerror}"]
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError:
        return [f"{MANIFEST} is damaged"]
    if manifest.format_version != FORMAT_VERSION:
        return [f"{MANIFEST} has format {manifest.format_version}, this version reads {FORMAT_VERSION}"]
    if data != _text(manifest.files).encode():
        return [f"{MANIFEST} is damaged"]
    found = find_damages(folder, manifest.files)
    unknown = (name for name in _files(folder) if name not in manifest.files and Path(name).suffix in _LOADED)
    return found + [f"{name} was not saved with the model" for name in unknown]


def check_files(folder: str | os.PathLike[str]) -> None:
    """Read every file of a saved model once and refuse those that are not what was saved; a warning where none says.

    Raises:
        EnvironmentFault: a file is damaged, changed, missing or new; names it, and what to do.
    """
    folder = Path(folder)
    reasons = damage_of(folder)
    if reasons is None:
        if (folder / CONFIG).is_file():
            log.warning("%s has no %s (saved by an earlier version?): its files are not verified", folder, MANIFEST)
    elif reasons:
        raise EnvironmentFault(
            f"model: {folder} is damaged: {reasons[0]}; export it again with `dual-hpc ckpt export RUN`, or, if you "
            f"have changed it on purpose, record its files as they are with `dual-hpc ckpt accept {folder}`"
        )


def weights_digest(folder: Path) -> str:
    """SHA-256 of `model.safetensors`, as the manifest says it; computed where it does not."""
    try:
        listed = Manifest.model_validate_json(read_bytes(folder / MANIFEST)).files[WEIGHTS].sha256
    except (OSError, ValidationError, KeyError):
        listed = None
    return listed or str(hash_file(folder / WEIGHTS).sha256)


def same_files(one: Path, other: Path) -> bool:
    """True if two folders hold the same files with the same content."""
    names = sorted(_files(one, hidden=True))
    return names == sorted(_files(other, hidden=True)) and not any(
        find_damage(one / name, hash_file(other / name)) for name in names
    )


def _files(folder: Path, hidden: bool = False) -> Iterator[str]:
    """Files relative to the folder, without model cards; the manifest and hidden ones only where they are asked for."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        inner = name.name == MANIFEST or any(part.startswith(".") for part in name.parts)
        if (hidden or not inner) and name.name != CARD and not path.is_dir():
            yield name.as_posix()


def _config(folder: Path) -> dict[str, Any] | None:
    try:
        content = parse_json(read_bytes(folder / CONFIG))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _text(files: dict[str, FileDigest]) -> str:
    """The text of `manifest.json`, with a digest of what it lists."""
    listed = {name: digest.model_dump() for name, digest in files.items()}
    digest = hashlib.sha256(json.dumps(listed, sort_keys=True).encode()).hexdigest()
    return json.dumps({"format_version": FORMAT_VERSION, "files": listed, "digest": digest}, indent=1) + "\n"
