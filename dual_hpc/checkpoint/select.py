"""Which checkpoint to continue from: the newest that its manifest proves. Rank 0 lists, all verify, all follow."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dual_hpc.checkpoint import manifest as manifests
from dual_hpc.checkpoint.digest import damage
from dual_hpc.checkpoint.manifest import BadManifest, Manifest
from dual_hpc.errors import EnvironmentFault
from dual_hpc.group import Group
from dual_hpc.run import names


@dataclass(frozen=True)
class Choice:
    """A proven checkpoint, and why newer ones were passed over."""

    folder: Path
    manifest: Manifest
    passed_over: list[str] = field(default_factory=list)


def steps(root: Path) -> list[int]:
    """Steps of the committed checkpoints, ascending; whether they are sound is another question.

    Raises:
        EnvironmentFault: the folder cannot be read. That is not the same as an empty one.
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


def newest_proven(root: Path, group: Group, up_to: int | None = None) -> Choice | None:
    """The checkpoint to continue from; None if none was ever committed. Collective.

    Args:
        up_to: leave out the checkpoints of later steps.

    Raises:
        EnvironmentFault: they cannot be listed, or none of them is usable. Starting from zero would hide the loss.
    """
    candidates = group.broadcast(_candidates(root, up_to) if group.rank == 0 else [])
    if isinstance(candidates, EnvironmentFault):
        raise candidates
    passed_over: list[str] = []
    for step in reversed(candidates):
        folder = root / names.step_folder(step)
        found, reason = _verify(folder, group)
        if found is not None:
            return Choice(folder, found, passed_over)
        passed_over.append(f"{folder.name}: {reason}")
    if not candidates:
        return None
    raise EnvironmentFault(
        f"no checkpoint in {root} is usable ({'; '.join(passed_over)}); restore one from a copy, "
        "or delete the folder's content to train from the start"
    )


def _candidates(root: Path, up_to: int | None) -> list[int] | EnvironmentFault:
    try:
        return [step for step in steps(root) if up_to is None or step <= up_to]
    except EnvironmentFault as fault:  # the others must hear of it
        return fault


def verify(folder: Path) -> list[str]:
    """Everything that is wrong with a checkpoint; empty if it is proven."""
    try:
        manifest = manifests.load(folder)
    except BadManifest as error:
        return [str(error)]
    found = (damage(folder / name, proof) for name, proof in sorted(manifest.files.items()))
    return [reason for reason in found if reason]


def _verify(folder: Path, group: Group) -> tuple[Manifest | None, str]:
    """Each rank hashes its share of the files, which is what makes verifying hundreds of gigabytes bearable."""
    try:
        manifest, reason = (manifests.load(folder) if group.rank == 0 else None), None
    except BadManifest as error:
        manifest, reason = None, str(error)
    manifest, reason = group.broadcast((manifest, reason))
    if manifest is None:
        return None, reason or "unknown"
    share = sorted(manifest.files)[group.rank :: group.size]
    mine = next((why for name in share if (why := damage(folder / name, manifest.files[name]))), None)
    reasons = [why for why in group.gather(mine) if why]
    return (None, reasons[0]) if reasons else (manifest, "")
