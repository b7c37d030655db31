"""All ranks must start with the same code, configuration and weights: they compare hashes before the first step."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import torch
from torch import nn

import dual_hpc
from dual_hpc.config import RunConfig
from dual_hpc.errors import EnvironmentFault
from dual_hpc.training.distributed import World


def check_ranks_agree(config: RunConfig, model: nn.Module, world: World) -> None:
    """Compare this rank's code, configuration and initial weights with those of the others. Collective.

    Args:
        model: as built, before DeepSpeed wraps it.

    Raises:
        EnvironmentFault: on all ranks, if one differs; names the ranks and what differs.
    """
    mine = {
        "code": f"{dual_hpc.__version__} torch {torch.__version__} {_code_hash()}",
        "configuration": hashlib.sha256(config.model_dump_json().encode()).hexdigest(),
        "initial weights": _weights_hash(model.state_dict().items()),
    }
    every = world.all_gather(mine)
    for what in mine:
        if different := minority_ranks([hashes[what] for hashes in every]):
            ranks = ", ".join(map(str, different))
            raise EnvironmentFault(
                f"rank(s) {ranks} start with different {what} than the other ranks; compare the files on their nodes"
            )


def minority_ranks(values: Sequence[str]) -> list[int]:
    """The ranks whose value is not the most frequent one; of equally frequent values, the first one counts."""
    usual = max(values, key=values.count)
    return [rank for rank, value in enumerate(values) if value != usual]


@cache
def _code_hash() -> str:
    root = Path(dual_hpc.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _weights_hash(tensors: Iterable[tuple[str, torch.Tensor]]) -> str:
    digest = hashlib.sha256()
    for name, value in tensors:
        flat = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(name.encode() + b"\0" + flat.numpy().tobytes())
    return digest.hexdigest()
