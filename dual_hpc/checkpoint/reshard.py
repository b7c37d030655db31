"""A checkpoint for another number of ranks: every rank writes its own part, committed as any checkpoint is.

checkpoints/converted/<digest>-<ranks>/step_NNNNNNNN/     named by the manifest it was made from, so never stale
"""

from __future__ import annotations

import shutil
from pathlib import Path

from dual_hpc.checkpoint import commit, select
from dual_hpc.checkpoint.digest import FileProof, prove
from dual_hpc.checkpoint.select import Choice
from dual_hpc.errors import EnvironmentFault
from dual_hpc.group import Group
from dual_hpc.run import names

CACHE = "converted"


def for_ranks(choice: Choice, cache: Path, group: Group, ranks: int) -> Choice:
    """The checkpoint as `ranks` ranks would have written it; collective, whatever the size of `group`.

    Args:
        choice: a proven checkpoint.
        cache: folder of conversions; one that was made before is used again.

    Raises:
        EnvironmentFault: the files are not DeepSpeed's, or the result cannot be written.
    """
    manifest = choice.manifest
    if manifest.world_size == ranks or manifest.zero_stage == 0:
        return choice
    digest = prove(choice.folder / names.MANIFEST).sha256
    root = cache / f"{digest[:16]}-{ranks}"
    try:
        found = select.newest_proven(root, group)
    except EnvironmentFault:
        found = None  # damaged: made anew
    if found is None:
        commit.save(
            root,
            group,
            lambda folder: _write(choice, folder, range(group.rank, ranks, group.size), ranks),
            step=manifest.step,
            world_size=ranks,
            zero_stage=manifest.zero_stage,
            precision=manifest.precision,
            state=manifest.state,
            run_id=manifest.run_id,
        )
        found = select.newest_proven(root, group)
        assert found is not None
    return Choice(found.folder, found.manifest, choice.passed_over)


def forget(cache: Path) -> None:
    """Delete all conversions; a newer checkpoint has made them useless."""
    shutil.rmtree(cache, ignore_errors=True)


def _write(choice: Choice, folder: Path, numbers: range, ranks: int) -> dict[str, FileProof]:
    from dual_hpc.checkpoint.deepspeed_io import (
        FOLDER,
        ProvenFiles,
        write_file,
    )  # whoever only forgets needs neither
    from dual_hpc.checkpoint.repartition import files_of_rank

    manifest, files, proofs = choice.manifest, ProvenFiles(), {}
    files.believe(choice.folder, manifest)
    names = [name for name in manifest.files if name.startswith(f"{FOLDER}/")]
    (folder / FOLDER).mkdir(exist_ok=True)

    def read(name: str) -> object:
        return files.load(str(choice.folder / name), mmap=True)

    for number in numbers:
        parts = files_of_rank(read, names, manifest.zero_stage, manifest.world_size, ranks, number)
        for name, content in parts.items():
            proofs[name] = write_file(content, folder / name)
    return proofs
