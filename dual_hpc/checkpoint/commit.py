"""The commit protocol: whatever interrupts it, a checkpoint is complete under its name, or it does not exist.

1  rank 0 makes step_N.<token>.tmp, a name that no other process will ever use
2  every rank writes its files there, flushed to the disk and hashed while they are written
3  digests and failures are gathered; one failure on any rank abandons the checkpoint on every rank
4  rank 0 writes the manifest, flushes, renames the folder to step_N, flushes the parent folder
5  all ranks learn the result

A job that takes over a run first removes the unfinished folders, each by one rename, and lists the checkpoints
afterwards. A process of the former job may still be running (a zombie). What it publishes is either in that list and
as good as any other checkpoint, or it cannot be published any more, because its folder is gone: there is no gap between
its last check of the lease and its rename.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from dual_hpc.checkpoint import manifest as manifests
from dual_hpc.checkpoint.manifest import BadManifest, Manifest
from dual_hpc.errors import EnvironmentFault
from dual_hpc.files.atomic import write_atomically
from dual_hpc.files.digest import FileDigest
from dual_hpc.files.flush import flush_folder
from dual_hpc.group import Group, gather_results
from dual_hpc.heartbeat import beat
from dual_hpc.run import names

# Writes one rank's files into a folder; returns their digests by relative path. May raise OSError.
Writer = Callable[[Path], dict[str, FileDigest]]


def save(
    root: Path,
    group: Group,
    write: Writer,
    *,
    step: int,
    zero_stage: int,
    precision: str,
    state: dict[str, Any],
    run_id: str = "",
    world_size: int | None = None,
    check_ownership: Callable[[], None] = lambda: None,
) -> Path:
    """Write one checkpoint with all ranks of `group`; collective.

    Args:
        world_size: number of ranks that can load it, if it is not the number that writes it.
        run_id: of the run, noted in the manifest.
        check_ownership: called on rank 0 before the checkpoint gets its name, and once more afterwards, because the
            caller deletes older checkpoints next; raises if another job has taken over the run.

    Returns:
        The committed folder.

    Raises:
        EnvironmentFault: on every rank, if any rank failed. Earlier checkpoints are as they were.
    """
    final = root / names.step_folder(step)
    made = on_all_ranks(group, lambda: _make_unfinished(final) if group.rank == 0 else None, step)
    temporary: Path = made[0]
    failpoint("made")
    gathered = on_all_ranks(group, lambda: write(temporary), step, undo=temporary)
    failpoint("written")
    files = {name: digest for digests in gathered for name, digest in (digests or {}).items()}
    content = Manifest(
        step=step,
        run_id=run_id,
        world_size=world_size or group.size,
        zero_stage=zero_stage,
        precision=precision,
        state=state,
        files=files,
    )
    publish = partial(_publish, temporary, final, content, check_ownership)
    on_all_ranks(group, lambda: publish() if group.rank == 0 else None, step, undo=temporary)
    return final


def replace_state(
    folder: Path, group: Group, state: dict[str, Any], check_ownership: Callable[[], None] = lambda: None
) -> None:
    """Write another training state into the manifest of a committed checkpoint; its files stay. Collective.

    Raises:
        EnvironmentFault: on every rank, if rank 0 cannot write it, or the checkpoint is not the one that was committed.
    """

    def replace() -> None:
        try:
            before = manifests.load(folder)
        except BadManifest as error:
            raise EnvironmentFault(f"{folder.name}: {error}") from error
        check_ownership()
        write_atomically(folder / names.MANIFEST, manifests.dump(before.model_copy(update={"state": state})))
        flush_folder(folder)

    step = names.step_of(folder)
    assert step is not None, "only a committed checkpoint has a state to replace"
    on_all_ranks(group, lambda: replace() if group.rank == 0 else None, step)


def failpoint(name: str) -> None:
    """Called as "made", "written", "manifest" and "renamed" in the course of a save; tests replace it to fail there."""


def remove(folder: Path) -> None:
    """Delete a committed checkpoint; a kill in between leaves an unfinished folder, never a damaged checkpoint."""
    temporary = _unique_name(folder)
    os.rename(folder, temporary)
    _delete(temporary)


def remove_unfinished(root: Path) -> None:
    """Delete what earlier, killed saves left over (rank 0, before the first save of a job)."""
    for folder in root.glob("step_*.tmp"):
        renamed = _unique_name(folder.with_suffix(""))
        with contextlib.suppress(OSError):  # another process was faster
            os.rename(folder, renamed)  # first, so that a zombie that still writes there cannot publish it
            _delete(renamed)
            beat()


def on_all_ranks(group: Group, act: Callable[[], Any], step: int, undo: Path | None = None) -> list[Any]:
    """Run `act` on every rank and raise on all of them if it failed on one: none must wait for a rank that failed."""

    def attempt() -> tuple[Any, str | None]:
        try:
            return act(), None
        except OSError as error:
            return None, f"rank {group.rank}: {error.strerror or error}"
        except EnvironmentFault as error:
            return None, f"rank {group.rank}: {error}"

    answers = gather_results(group, attempt)
    failures = [failure for _, failure in answers if failure]
    if failures:
        if undo is not None and group.rank == 0:
            shutil.rmtree(undo, ignore_errors=True)
        raise EnvironmentFault(f"checkpoint of step {step} was not saved ({'; '.join(failures)})")
    return [value for value, _ in answers]


def _make_unfinished(final: Path) -> Path:
    folder = _unique_name(final)
    folder.mkdir(parents=True)
    return folder


def _unique_name(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.{uuid.uuid4().hex[:12]}.tmp")


def _publish(temporary: Path, final: Path, content: Manifest, check_ownership: Callable[[], None]) -> None:
    write_atomically(temporary / names.MANIFEST, manifests.dump(content))
    for folder in sorted({(temporary / name).parent for name in content.files} | {temporary}):
        flush_folder(folder)
    failpoint("manifest")
    check_ownership()
    rename_into_place(temporary, final)
    flush_folder(final.parent)
    failpoint("renamed")
    check_ownership()


def rename_into_place(temporary: Path, final: Path) -> None:
    """Give a complete checkpoint its name; what had the name before (damaged, or the same step again) is deleted."""
    old = _unique_name(final)
    if os.path.lexists(final):
        os.rename(final, old)
    try:
        os.rename(temporary, final)
    except OSError:  # another job has taken over the run and removed `temporary`: the old one is that job's
        if os.path.lexists(old):
            os.rename(old, final)
        raise
    if os.path.lexists(old):
        with contextlib.suppress(OSError):  # `remove_unfinished` tries again
            _delete(old)


def _delete(path: Path) -> None:
    """Delete a folder with its content; of a link, or of a file that somebody put there, the name alone."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
