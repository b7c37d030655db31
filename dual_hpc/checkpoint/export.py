"""The weights alone, as a Hugging Face directory, for evaluation, prediction and other programs.

export/step_00000120/   config.json, model.safetensors, tokenizer files
export/best -> step_00000120      moved by an atomic replace
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dual_hpc.checkpoint.flush import flush_folder, flush_tree
from dual_hpc.errors import EnvironmentFault
from dual_hpc.heartbeat import beat
from dual_hpc.run.names import step_folder


def gather_weights(module: nn.Module, rank: int) -> dict[str, torch.Tensor]:
    """All parameters and persistent buffers in float32 in host memory on rank 0, nothing on other ranks; collective.

    One parameter is gathered at a time, so no device ever holds the full model.
    """
    weights: dict[str, torch.Tensor] = {}
    parameters = dict(module.named_parameters(remove_duplicate=False))
    for name, value in module.state_dict().items():
        parameter = parameters.get(name)
        if parameter is not None and hasattr(parameter, "ds_id"):
            from deepspeed.runtime.zero.partition_parameters import GatheredParameters

            with GatheredParameters([parameter]):
                if rank == 0:
                    weights[name] = _to_host(parameter.detach())
        elif rank == 0:
            weights[name] = _to_host(value.detach())
        beat()
    return weights


def publish(root: Path, name: str, step: int, write: Callable[[Path], Any]) -> Path:
    """Write the weights of `step` once and link `name` to them (rank 0); exports without a link are deleted.

    Raises:
        EnvironmentFault: disk full or not writable. The export that `name` was linked to is unchanged.
    """
    final = root / step_folder(step)
    temporary = final.with_name(final.name + ".tmp")
    try:
        root.mkdir(parents=True, exist_ok=True)
        if not final.is_dir():  # best and last may be the same step, and a resumed run may repeat one
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            write(temporary)
            flush_tree(temporary)
            os.rename(temporary, final)
        link = root / f".{name}.tmp"
        link.unlink(missing_ok=True)
        link.symlink_to(final.name)
        if (root / name).is_dir() and not (root / name).is_symlink():  # the run was copied by a tool that follows links
            shutil.rmtree(root / name)
        flush_folder(root)  # before the link, which must not survive a crash without its target
        os.replace(link, root / name)
        flush_folder(root)  # before the former target is deleted
        _remove_unlinked(root)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise EnvironmentFault(
            f"weights of step {step} were not exported to {root}: {error.strerror or error}"
        ) from error
    return root / name


def _remove_unlinked(root: Path) -> None:
    linked = {os.readlink(entry) for entry in root.iterdir() if entry.is_symlink()}
    for folder in root.glob("step_*"):
        if folder.name not in linked:
            shutil.rmtree(folder, ignore_errors=True)


def _to_host(value: torch.Tensor) -> torch.Tensor:
    # A copy even on a CPU: the parameters may change while the export is written.
    return value.to(device="cpu", dtype=torch.float32 if value.is_floating_point() else value.dtype, copy=True)
