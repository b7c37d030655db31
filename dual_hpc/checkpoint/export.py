"""The weights alone, as a Hugging Face directory, for evaluation, prediction and other programs.

export/step_00000120/   config.json, model.safetensors, tokenizer files
export/best -> step_00000120      moved by an atomic replace
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from itertools import chain, count
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dual_hpc.errors import EnvironmentFault
from dual_hpc.files.flush import flush_folder, flush_tree
from dual_hpc.files.real_path import real_path
from dual_hpc.heartbeat import beat
from dual_hpc.model_manifest import same_files
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
    """Write the weights of `step` and link `name` to them (rank 0); exports without a link are deleted.

    Where the step was exported before (best and last may be the same one, and a resumed run may repeat one), the same
    files are left as they are; other ones, such as damaged ones, are replaced for every name that is linked to them.
    Whatever interrupts it, each name leads to a complete export, the former or the new one.

    Raises:
        EnvironmentFault: disk full or not writable. The export that `name` was linked to is unchanged.
    """
    temporary = root / f"{step_folder(step)}.tmp"
    try:
        root.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        write(temporary)
        former = exports_of(root, step)
        same = next((folder for folder in former if same_files(folder, temporary)), None)
        if same is not None:
            shutil.rmtree(temporary)
            final = same
        else:
            flush_tree(temporary)
            final = _unused_name(root, step)
            os.rename(temporary, final)
            flush_folder(root)  # before the links, which must not survive a crash without their target
        others = [entry.name for entry in root.iterdir() if _is_name(entry) and real_path(entry) in former]
        for each in dict.fromkeys((name, *others)):
            _link(root, each, final.name)
        flush_folder(root)  # before the former target is deleted
        _remove_unlinked(root)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise EnvironmentFault(
            f"weights of step {step} were not exported to {root}: {error.strerror or error}"
        ) from error
    return root / name


def exports_of(root: Path, step: int) -> list[Path]:
    """The folders of a step that was exported before: its own name, and those of files that replaced others."""
    own = step_folder(step)
    found = (path for path in real_path(root).glob(f"{own}*") if re.fullmatch(rf"{own}(\.\d+)?", path.name))
    return sorted(path for path in found if path.is_dir())


def _unused_name(root: Path, step: int) -> Path:
    """step_00000120, or with .1 ... where a former export, to which names are linked, has that."""
    suffixes = chain([""], (f".{number}" for number in count(1)))
    names = (root / f"{step_folder(step)}{suffix}" for suffix in suffixes)
    return next(name for name in names if not os.path.lexists(name))


def _link(root: Path, name: str, target: str) -> None:
    """Let `name` lead to a folder, from one moment to the next."""
    link, there = root / f".{name}.tmp", root / name
    link.unlink(missing_ok=True)
    link.symlink_to(target)
    copied = there.is_dir() and not there.is_symlink()  # the run was copied by a tool that follows links
    aside = root / f"step_of_{name}.tmp"  # deleted with what has no link
    if copied:
        shutil.rmtree(aside, ignore_errors=True)
        os.rename(there, aside)
    os.replace(link, there)


def _remove_unlinked(root: Path) -> None:
    linked = {os.readlink(entry) for entry in root.iterdir() if _is_name(entry)}
    for folder in root.glob("step_*"):
        if folder.name not in linked:
            shutil.rmtree(folder, ignore_errors=True)


def _is_name(entry: Path) -> bool:
    """True for best and last; a hidden link was left by a killed `_link`."""
    return entry.is_symlink() and not entry.name.startswith(".")


def _to_host(value: torch.Tensor) -> torch.Tensor:
    # A copy even on a CPU: the parameters may change while the export is written.
    return value.to(device="cpu", dtype=torch.float32 if value.is_floating_point() else value.dtype, copy=True)
