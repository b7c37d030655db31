"""Weights alone, as a Hugging Face directory: what evaluation, prediction and other people use.

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

from dual_hpc.checkpoint.commit import flush_folder
from dual_hpc.errors import EnvironmentFault
from dual_hpc.run.names import step_folder


def gather_weights(module: nn.Module, rank: int) -> dict[str, torch.Tensor]:
    """All parameters and persistent buffers in float32 on the host of rank 0, nothing elsewhere; collective.

    One parameter is gathered at a time, so no device ever holds the whole model.
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
    return weights


def publish(root: Path, name: str, step: int, write: Callable[[Path], Any]) -> Path:
    """Write the weights of `step` once and point `name` at them (rank 0); exports nothing points at are deleted.

    Raises:
        EnvironmentFault: disk full or not writable. What `name` pointed at before is as it was.
    """
    final = root / step_folder(step)
    temporary = final.with_name(final.name + ".tmp")
    try:
        root.mkdir(parents=True, exist_ok=True)
        if not final.is_dir():  # best and last may be the same step, and a resumed run may repeat one
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            write(temporary)
            _flush(temporary)
            os.rename(temporary, final)
        link = root / f".{name}.tmp"
        link.unlink(missing_ok=True)
        link.symlink_to(final.name)
        if (root / name).is_dir() and not (root / name).is_symlink():  # the run was copied by what follows links
            shutil.rmtree(root / name)
        flush_folder(root)  # before the name, which must not survive a crash without what it points at
        os.replace(link, root / name)
        flush_folder(root)  # and before what it pointed at goes
        _drop_unnamed(root)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise EnvironmentFault(
            f"weights of step {step} were not exported to {root}: {error.strerror or error}"
        ) from error
    return root / name


def _flush(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        if path.is_dir():
            flush_folder(path)
        else:
            with open(path, "rb") as file:
                os.fsync(file.fileno())


def _drop_unnamed(root: Path) -> None:
    named = {os.readlink(entry) for entry in root.iterdir() if entry.is_symlink()}
    for folder in root.glob("step_*"):
        if folder.name not in named:
            shutil.rmtree(folder, ignore_errors=True)


def _to_host(value: torch.Tensor) -> torch.Tensor:
    # A copy even where the device is the host: the export is written while nothing holds the parameters still.
    return value.to(device="cpu", dtype=torch.float32 if value.is_floating_point() else value.dtype, copy=True)
