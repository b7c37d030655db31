"""The commit protocol: after any interruption a checkpoint is whole under its name, or it is not there.

1  rank 0 makes step_N.<token>.tmp, a name that no other process will ever use
2  every rank writes its files there, flushed to the disk and hashed on the way
3  proofs and failures are gathered; one failure anywhere abandons the checkpoint on every rank
4  rank 0 writes the manifest, flushes, renames to step_N, flushes the parent
5  rank 0 moves `latest` by an atomic replace; the outcome is told to all

Whoever takes a run over sweeps the unfinished folders away, each by one rename, and lists the checkpoints after that.
So what a zombie still publishes is either there to be listed, as good as any, or can't be published any more: between
its last look at the lease and its rename there is no gap.
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
from dual_hpc.checkpoint.digest import FileProof
from dual_hpc.checkpoint.manifest import Manifest
from dual_hpc.errors import EnvironmentFault
from dual_hpc.group import Group
from dual_hpc.run import names

LATEST = "latest"

# Writes one rank's files into a folder; returns the proofs by relative path. May raise OSError.
Writer = Callable[[Path], dict[str, FileProof]]


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
    fence: Callable[[], None] = lambda: None,
) -> Path:
    """Write one checkpoint with all ranks of `group`; collective.

    Args:
        world_size: ranks that can load it, if not as many as write it.
        run_id: of the run, noted in the manifest.
        fence: called on rank 0 before the checkpoint gets its name and before `latest` moves; raises if someone else
            owns the run by now.

    Returns:
        The committed folder.

    Raises:
        EnvironmentFault: on every rank, if any rank failed. Earlier checkpoints are as they were.
    """
    final = root / names.step_folder(step)
    made = _together(group, lambda: _unfinished(final) if group.rank == 0 else None, step)
    temporary: Path = made[0]
    reached("made")
    gathered = _together(group, lambda: write(temporary), step, undo=temporary)
    reached("written")
    files = {name: proof for proofs in gathered for name, proof in (proofs or {}).items()}
    content = Manifest(
        step=step,
        run_id=run_id,
        world_size=world_size or group.size,
        zero_stage=zero_stage,
        precision=precision,
        state=state,
        files=files,
    )
    finish = partial(_commit, temporary, final, content, fence)
    _together(group, lambda: finish() if group.rank == 0 else None, step, undo=temporary)
    return final


def reached(point: str) -> None:
    """Passed at every point of the protocol; tests replace it to stop there."""


def remove(folder: Path) -> None:
    """Delete a committed checkpoint; a kill half-way leaves an unfinished folder, never a damaged checkpoint."""
    temporary = _name_beside(folder)
    os.rename(folder, temporary)
    _delete(temporary)


def sweep(root: Path) -> None:
    """Delete what earlier, killed saves left behind (rank 0, before the first save of a job)."""
    for folder in root.glob("step_*.tmp"):
        away = _name_beside(folder.with_suffix(""))
        with contextlib.suppress(OSError):  # someone else was faster
            os.rename(folder, away)  # at once, whatever a zombie still writes there
            _delete(away)


def _together(group: Group, act: Callable[[], Any], step: int, undo: Path | None = None) -> list[Any]:
    """Run `act` on every rank and agree on its success: a rank that failed must not leave the others waiting."""
    value, failure = None, None
    try:
        value = act()
    except OSError as error:
        failure = f"rank {group.rank}: {error.strerror or error}"
    except EnvironmentFault as error:
        failure = f"rank {group.rank}: {error}"
    answers = group.gather((value, failure))
    failures = [failure for _, failure in answers if failure]
    if failures:
        if undo is not None and group.rank == 0:
            shutil.rmtree(undo, ignore_errors=True)
        raise EnvironmentFault(f"checkpoint of step {step} was not saved ({'; '.join(failures)})")
    return [value for value, _ in answers]


def _unfinished(final: Path) -> Path:
    folder = _name_beside(final)
    folder.mkdir(parents=True)
    return folder


def _name_beside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.{uuid.uuid4().hex[:12]}.tmp")


def _commit(temporary: Path, final: Path, content: Manifest, fence: Callable[[], None]) -> None:
    _write_durably(temporary / names.MANIFEST, manifests.dump(content))
    for folder in sorted({(temporary / name).parent for name in content.files} | {temporary}):
        flush_folder(folder)
    reached("manifest")
    fence()
    _give_name(temporary, final)
    flush_folder(final.parent)
    reached("renamed")
    fence()
    pointer = final.parent / f".{LATEST}.tmp"
    _write_durably(pointer, final.name + "\n")
    os.replace(pointer, final.parent / LATEST)
    flush_folder(final.parent)
    reached("latest")


def _give_name(temporary: Path, final: Path) -> None:
    old = _name_beside(final)
    if os.path.lexists(final):  # a damaged one, or the same step again after a fallback
        os.rename(final, old)
    try:
        os.rename(temporary, final)
    except OSError:  # swept away: the run has another owner, and so has what stood here
        if os.path.lexists(old):
            os.rename(old, final)
        raise
    if os.path.lexists(old):
        with contextlib.suppress(OSError):  # the next sweep tries again
            _delete(old)


def _delete(path: Path) -> None:
    """A folder with its content; of a link, or of a file that somebody put there, the name alone."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _write_durably(path: Path, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk: a file survives a crash of its node only with its name."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
