"""Committing, verifying, deleting and converting a checkpoint of many ranks: files, metadata calls, seconds."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.scaling.ranks import ThreadGroup, on_threads
from dual_hpc.checkpoint import commit, select
from dual_hpc.checkpoint.repartition import files_of_rank
from dual_hpc.checkpoint.retention import steps_to_delete
from dual_hpc.files.digest import FileDigest, HashingWriter

BYTES = 1 << 14  # of each rank's file: what grows with the ranks is counted, not the speed of the disk


def life(ranks: int, root: Path) -> dict[str, float]:
    """Two commits of `ranks` ranks, the verification of the newer one by all, and the removal of the older one."""

    def write(rank: int) -> commit.Writer:
        def files(folder: Path) -> dict[str, FileDigest]:
            (folder / "deepspeed").mkdir(exist_ok=True)
            file = HashingWriter(folder / "deepspeed" / f"rank_{rank}.pt")
            file.write(bytes([rank % 256]) * BYTES)
            return {f"deepspeed/rank_{rank}.pt": file.finish()}

        return files

    def save(group: ThreadGroup) -> float:
        begun = time.perf_counter()
        for step in (1, 2):
            commit.save(root, group, write(group.rank), step=step, zero_stage=1, precision="fp32", state={})
        return (time.perf_counter() - begun) / 2

    def verify(group: ThreadGroup) -> float:
        begun = time.perf_counter()
        found = select.latest_verified(root, group)
        assert found is not None and found.manifest.step == 2 and len(found.manifest.files) == ranks
        return time.perf_counter() - begun

    saved = max(on_threads(ranks, save))
    files = sum(path.is_file() for path in (root / "step_00000002").rglob("*"))
    verified = max(on_threads(ranks, verify))
    begun = time.perf_counter()
    for step in steps_to_delete(select.saved_at(root), keep_last=1):
        commit.remove(root / f"step_{step:08d}")
    removed = time.perf_counter() - begun
    assert select.steps(root) == [2]
    shutil.rmtree(root)
    return {"files": files, "commit, s": saved, "verify, s": verified, "remove, s": removed}


def conversion(ranks: int, stage: int) -> dict[str, float]:
    """Files that one rank opens to take over a checkpoint of `ranks` ranks as one of half as many."""
    read, names = pretended_checkpoint(ranks, stage)
    opened: set[str] = set()

    def counted(name: str) -> Any:
        opened.add(name)
        return read(name)

    begun = time.perf_counter()
    files_of_rank(counted, names, stage, ranks, ranks // 2, ranks // 4)
    return {"files opened": len(opened), "ms": (time.perf_counter() - begun) * 1e3}


def pretended_checkpoint(ranks: int, stage: int) -> tuple[Callable[[str], Any], list[str]]:
    """A checkpoint in DeepSpeed's form: one group of one parameter with 64 elements per rank; how to read its files."""
    numel = 64 * ranks
    shapes = [{"weight": torch.Size([numel])}]
    files: dict[str, Any] = {}
    for rank in range(ranks):
        part = torch.arange(64.0) + 64 * rank
        adam = {"state": {0: {"step": 1, "exp_avg": part, "exp_avg_sq": part}}, "param_groups": [{}]}
        head = f"deepspeed/zero_pp_rank_{rank}_mp_rank_00"
        if stage == 3:
            optimizer = {"optimizer_state_dict": adam, "fp32_flat_groups": [part], "partition_count": ranks}
            files[f"{head}_model_states.pt"] = {
                "module": {},
                "param_shapes": shapes,
                "frozen_param_fragments": None,
                "dp_world_size": ranks,
            }
        else:
            optimizer = {
                "base_optimizer_state": adam,
                "single_partition_of_fp32_groups": [part],
                "partition_count": [ranks],
                "group_paddings": [0],
            }
        files[f"{head}_optim_states.pt"] = {"optimizer_state_dict": optimizer}
    if stage != 3:
        files["deepspeed/mp_rank_00_model_states.pt"] = {"param_shapes": shapes, "dp_world_size": ranks}
    return files.__getitem__, sorted(files)
