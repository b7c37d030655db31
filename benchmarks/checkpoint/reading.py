"""Verifying and resuming the same checkpoint as today, and as versions before did, whose hash was sha256."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from benchmarks.checkpoint.contestants import Begin, Saved
from dual_hpc.checkpoint import deepspeed_io, select
from dual_hpc.checkpoint import manifest as manifests
from dual_hpc.checkpoint.deepspeed_io import VerifiedFiles
from dual_hpc.checkpoint.select import VerifiedCheckpoint
from dual_hpc.files.digest import FileDigest, find_damage, hash_file
from dual_hpc.group import gather_results
from dual_hpc.run import names


def ways_to_read(subject: Saved, root: Path) -> dict[str, Begin]:
    """By name. The files of the newest checkpoint get a second folder, in which the manifest has the other hash."""
    folder = root / names.step_folder(select.steps(root)[-1])
    other = root.parent / "sha256" / folder.name
    if subject.world.rank == 0:
        _with_sha256(folder, other)
    subject.world.all_gather(None)
    manifest = manifests.load(other)

    def as_before() -> None:
        """As versions before BLAKE3 verify: a rank's files one after the other, in order of names over the ranks."""
        share = sorted(manifest.files)[subject.world.rank :: subject.world.size]
        damage = [find_damage(other / name, manifest.files[name]) for name in share]
        assert not any(gather_results(subject.world, lambda: damage)[0])

    def resume() -> None:
        saver = subject.savers[False]
        saver._root = root
        assert saver.resume() is not None

    def resume_as_before() -> None:
        """As they resume: verified like that, then read into new memory, of which the state is a copy."""
        as_before()
        saver = subject.savers[False]
        saver._root = other.parent
        checkpoint = VerifiedCheckpoint(other, manifest)
        with patch.object(select, "latest_verified", lambda *_: checkpoint), patch.object(VerifiedFiles, "load", _read):
            assert saver.resume() is not None

    ways: dict[str, Callable[[], object]] = {
        "verify, blake3": lambda: select.latest_verified(root, subject.world),
        "verify, sha256": as_before,
        "resume, blake3": resume,
        "resume, sha256": resume_as_before,
    }
    return {name: _at_once(act) for name, act in ways.items()}


def _read(self: VerifiedFiles, path: str, map_location: Any = None, mmap: bool = False) -> Any:
    with torch.serialization.safe_globals(deepspeed_io._expected_classes()):
        return torch.load(path, map_location=map_location, weights_only=True)


def _at_once(act: Callable[[], object]) -> Begin:
    def begin() -> Callable[[], None]:
        act()
        return lambda: None

    return begin


def _with_sha256(folder: Path, other: Path) -> None:
    manifest = manifests.load(folder)
    digests: dict[str, FileDigest] = {}
    for name in manifest.files:
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        os.link(folder / name, other / name)
        digests[name] = hash_file(folder / name)
    changed = manifest.model_copy(update={"files": digests, "format_version": 1})
    (other / names.MANIFEST).write_text(manifests.dump(changed))
