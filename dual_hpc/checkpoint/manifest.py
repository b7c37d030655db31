"""`manifest.json`: what makes a folder of files a checkpoint.

It holds the proofs of all files and the training position as plain data, so that a checkpoint can be listed, chosen
and understood without unpickling anything. It proves itself as well: a changed byte in it is found.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from dual_hpc.checkpoint.digest import FileProof
from dual_hpc.run import names

FORMAT_VERSION = 1


class Manifest(BaseModel):
    """The content of `manifest.json`.

    Attributes:
        step: optimiser steps done.
        run_id: the run that wrote it, as `run.json` and the tag of its MLflow run name it.
        world_size: ranks that wrote it; ZeRO's files can only be read back by as many.
        state: the training position (plain data; its meaning is the training room's).
        files: path relative to the checkpoint's folder -> proof.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: int = FORMAT_VERSION
    run_id: str = ""
    step: int = Field(ge=0)
    world_size: int = Field(ge=1)
    zero_stage: int = Field(ge=0, le=3)
    precision: str
    state: dict[str, Any]
    files: dict[str, FileProof]

    @field_validator("files")
    @classmethod
    def _stay_inside(cls, files: dict[str, FileProof]) -> dict[str, FileProof]:
        for name in files:
            if name.startswith("/") or ".." in Path(name).parts or "\0" in name:
                raise ValueError(f"{name} lies outside the checkpoint")
        return files


class BadManifest(ValueError):
    """The manifest is missing, damaged or of another format."""


def dump(manifest: Manifest) -> str:
    """The text of `manifest.json`, closed by a digest of all before it."""
    content = manifest.model_dump(mode="json")
    return json.dumps({**content, "digest": _digest(content)}, indent=1, sort_keys=True) + "\n"


def load(folder: Path) -> Manifest:
    """The manifest of a checkpoint folder.

    Raises:
        BadManifest: with the reason.
    """
    try:
        content = json.loads((folder / names.MANIFEST).read_text(encoding="utf-8"))
        digest = content.pop("digest")
    except FileNotFoundError:
        raise BadManifest("it has no manifest") from None
    except OSError as error:
        raise BadManifest(f"its manifest cannot be read: {error.strerror}") from error
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise BadManifest("its manifest is damaged") from error
    if digest != _digest(content):
        raise BadManifest("its manifest is damaged")
    if content.get("format_version") != FORMAT_VERSION:
        raise BadManifest(f"it has format {content.get('format_version')}, this version reads {FORMAT_VERSION}")
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        raise BadManifest(f"its manifest is not one of ours ({error.errors()[0]['msg']})") from error
    if names.step_of(folder) not in (None, manifest.step):
        raise BadManifest(f"it is the checkpoint of step {manifest.step} under another name")
    return manifest


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
