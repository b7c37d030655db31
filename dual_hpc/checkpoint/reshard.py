"""A checkpoint converted for another number of ranks: every rank writes its part, committed like any checkpoint.

checkpoints/converted/<digest>-<ranks>/step_NNNNNNNN/     named by the hash of the original's manifest, so never stale
"""

from __future__ import annotations

import shutil
from pathlib import Path

from dual_hpc.checkpoint import commit, select
from dual_hpc.checkpoint.select import VerifiedCheckpoint
from dual_hpc.errors import EnvironmentFault
from dual_hpc.files.digest import FileDigest, hash_file
from dual_hpc.group import Group
from dual_hpc.run import names

CACHE = "converted"


def reshard(checkpoint: VerifiedCheckpoint, cache: Path, group: Group, ranks: int) -> VerifiedCheckpoint:
    """The checkpoint as `ranks` ranks would have written it; collective, whatever the size of `group`.

    Args:
        cache: folder of conversions; one that was made before is used again.

    Raises:
        EnvironmentFault: the files are not DeepSpeed's, or the result cannot be written.
    """
    manifest = checkpoint.manifest
    if manifest.world_size == ranks or manifest.zero_stage == 0:
        return checkpoint
    digest = hash_file(checkpoint.folder / names.MANIFEST).hash
    root = cache / f"{digest[:16]}-{ranks}"
    try:
        found = select.latest_verified(root, group)
    except EnvironmentFault:
        found = None  # the cached conversion is damaged: convert again
    if found is None:
        commit.save(
            root,
            group,
            lambda folder: _write(checkpoint, folder, range(group.rank, ranks, group.size), ranks),
            step=manifest.step,
            world_size=ranks,
            zero_stage=manifest.zero_stage,
            precision=manifest.precision,
            state=manifest.state,
            run_id=manifest.run_id,
        )
        found = select.latest_verified(root, group)
        assert found is not None
    return VerifiedCheckpoint(found.folder, found.manifest, checkpoint.rejected)


def clear_cache(cache: Path) -> None:
    """Delete all conversions; after a newer checkpoint nobody needs them."""
    shutil.rmtree(cache, ignore_errors=True)


def _write(checkpoint: VerifiedCheckpoint, folder: Path, numbers: range, ranks: int) -> dict[str, FileDigest]:
    # Imported here, because `clear_cache` needs neither torch nor DeepSpeed.
    from dual_hpc.checkpoint.deepspeed_io import FOLDER, VerifiedFiles, write_file
    from dual_hpc.checkpoint.repartition import files_of_rank

    manifest, files, digests = checkpoint.manifest, VerifiedFiles(), {}
    files.allow(checkpoint.folder, manifest)
    names = [name for name in manifest.files if name.startswith(f"{FOLDER}/")]
    (folder / FOLDER).mkdir(exist_ok=True)

    def read(name: str) -> object:
        return files.load(str(checkpoint.folder / name), mmap=True)

    for number in numbers:
        parts = files_of_rank(read, names, manifest.zero_stage, manifest.world_size, ranks, number)
        for name, content in parts.items():
            digests[name] = write_file(content, folder / name)
    return digests
