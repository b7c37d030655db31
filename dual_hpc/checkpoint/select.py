"""Which checkpoint to resume from: the newest one that is verified. Rank 0 lists, all ranks verify and agree."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from dual_hpc.checkpoint import manifest as manifests
from dual_hpc.checkpoint.manifest import BadManifest, Manifest
from dual_hpc.errors import EnvironmentFault
from dual_hpc.files.digest import find_damages
from dual_hpc.group import Group, gather_results
from dual_hpc.run import names

_OF_RANK = re.compile(r"zero_pp_rank_(\d+)_")


@dataclass(frozen=True)
class VerifiedCheckpoint:
    """A checkpoint whose files have the sizes and hashes in its manifest.

    Attributes:
        rejected: newer checkpoints that are damaged, each with the reason.
    """

    folder: Path
    manifest: Manifest
    rejected: list[str] = field(default_factory=list)


def steps(root: Path) -> list[int]:
    """Steps of the committed checkpoints, ascending; not verified.

    Raises:
        EnvironmentFault: the folder cannot be read. That is not the same as an empty folder.
    """
    try:
        return sorted(step for folder in root.iterdir() if (step := names.step_of(folder)) is not None)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise EnvironmentFault(f"{root} cannot be read: {error.strerror}") from error


def saved_at(root: Path) -> dict[int, float]:
    """When each committed checkpoint was written, Unix seconds; a damaged one counts as old."""
    found = {}
    for step in steps(root):
        try:
            found[step] = (root / names.step_folder(step) / names.MANIFEST).stat().st_mtime
        except OSError:
            found[step] = 0.0
    return found


def latest_verified(root: Path, group: Group, up_to: int | None = None) -> VerifiedCheckpoint | None:
    """The checkpoint to resume from; None if none was ever committed. Collective.

    Args:
        up_to: ignore the checkpoints of later steps.

    Raises:
        EnvironmentFault: they cannot be listed, or none of them is usable. Starting from zero would hide the loss.
    """
    candidates = group.broadcast(_candidates(root, up_to) if group.rank == 0 else [])
    if isinstance(candidates, EnvironmentFault):
        raise candidates
    rejected: list[str] = []
    for step in reversed(candidates):
        folder = root / names.step_folder(step)
        found, reason = _verify(folder, group)
        if found is not None:
            return VerifiedCheckpoint(folder, found, rejected)
        rejected.append(f"{folder.name}: {reason}")
    if not candidates:
        return None
    raise EnvironmentFault(
        f"no checkpoint in {root} is usable ({'; '.join(rejected)}); restore one from a copy, "
        "or delete the folder's content to train from the start"
    )


def _candidates(root: Path, up_to: int | None) -> list[int] | EnvironmentFault:
    try:
        return [step for step in steps(root) if up_to is None or step <= up_to]
    except EnvironmentFault as fault:  # returned, so that it can be broadcast to the other ranks
        return fault


def verify(folder: Path) -> list[str]:
    """Everything that is wrong with a checkpoint; empty if it is verified."""
    try:
        manifest = manifests.load(folder)
    except BadManifest as error:
        return [str(error)]
    return find_damages(folder, manifest.files)


def _verify(folder: Path, group: Group) -> tuple[Manifest | None, str]:
    """Each rank hashes its share of the files: one rank would need minutes for hundreds of gigabytes."""
    try:
        manifest, reason = (manifests.load(folder) if group.rank == 0 else None), None
    except BadManifest as error:
        manifest, reason = None, str(error)
    manifest, reason = group.broadcast((manifest, reason))
    if manifest is None:
        return None, reason or "unknown"
    share = {name: manifest.files[name] for name in share_of_files(manifest.files, group.rank, group.size)}
    reasons = [why for found in gather_results(group, lambda: find_damages(folder, share)) for why in found]
    return (None, reasons[0]) if reasons else (manifest, "")


def share_of_files(files: Collection[str], rank: int, ranks: int) -> list[str]:
    """Which files a rank verifies: those that DeepSpeed wrote for it, which it reads again at once, and of the others
    every so many.
    """
    own = {name: int(match[1]) for name in files if (match := _OF_RANK.search(name))}
    others = sorted(name for name in files if name not in own)
    return sorted([name for name, number in own.items() if number % ranks == rank] + others[ranks - 1 - rank :: ranks])
