"""`manifest.json`: what makes a folder of files a checkpoint.

It holds the digests of all files and the training state as plain data, so that a checkpoint can be listed, chosen and
understood without unpickling anything. It also holds a digest of itself, so a changed byte in it is found.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dual_hpc.files.digest import FileDigests
from dual_hpc.files.json_text import parse_json
from dual_hpc.files.regular_file import read_bytes
from dual_hpc.run import names

FORMAT_VERSION = 2
READABLE = (1, 2)  # 1: the files have sha256; code that knows no other names the format instead of calling it damaged


class Manifest(BaseModel):
    """The content of `manifest.json`.

    Attributes:
        step: optimiser steps done.
        run_id: the run that wrote it, as in `run.json` and the tag of its MLflow run.
        world_size: number of ranks that wrote it; ZeRO's files can only be read by the same number.
        state: the training state (plain data, see `dual_hpc.training.state`).
        files: path relative to the checkpoint's folder -> digest.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: int = FORMAT_VERSION
    run_id: str = ""
    step: int = Field(ge=0)
    world_size: int = Field(ge=1)
    zero_stage: int = Field(ge=0, le=3)
    precision: str
    state: dict[str, Any]
    files: FileDigests


class BadManifest(ValueError):
    """The manifest is missing, damaged or of another format."""


def dump(manifest: Manifest) -> str:
    """The text of `manifest.json`, with a digest of everything else in it."""
    content = manifest.model_dump(mode="json")
    return json.dumps({**content, "digest": _digest(content)}, indent=1, sort_keys=True) + "\n"


def load(folder: Path) -> Manifest:
    """The manifest of a checkpoint folder.

    Raises:
        BadManifest: with the reason.
    """
    try:
        content = parse_json(read_bytes(folder / names.MANIFEST))
        digest = content.pop("digest")
    except FileNotFoundError:
        raise BadManifest("it has no manifest") from None
    except OSError as error:
        raise BadManifest(f"its manifest cannot be read: {error.strerror}") from error
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise BadManifest("its manifest is damaged") from error
    if digest != _digest(content):
        raise BadManifest("its manifest is damaged")
    if content.get("format_version") not in READABLE:
        raise BadManifest(f"it has format {content.get('format_version')}, this version reads up to {FORMAT_VERSION}")
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        raise BadManifest(f"its manifest is not valid ({error.errors()[0]['msg']})") from error
    if names.step_of(folder) not in (None, manifest.step):
        raise BadManifest(f"it is the checkpoint of step {manifest.step} under another name")
    return manifest


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
