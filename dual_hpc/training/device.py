"""Which device a rank computes on: one rule for the checks before a training and for the training itself."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING

from dual_hpc.errors import UserError

if TYPE_CHECKING:
    import torch


def device_index(visible: int, local_rank: int, ranks_per_node: int) -> int:
    """The index, among the devices that this process sees, of the one that is its own.

    A process that sees one device was given that one by the scheduler (`--gpus-per-task`, `--gpu-bind=single`,
    cgroups), whatever its number on the node; `launch.job.rendezvous` finds out if another rank was given it as well.

    Args:
        visible: devices that this process sees, at least one.
        local_rank: of this process on its node.
        ranks_per_node: processes on this node.

    Raises:
        UserError: two ranks would share a device.
    """
    if visible == 1:
        return 0
    ranks = max(ranks_per_node, local_rank + 1)
    if ranks > visible:
        raise UserError(
            f"launch.ranks_per_node={ranks}: each rank needs a GPU of its own, and a rank of this node sees {visible}; "
            f"set launch.ranks_per_node={visible}, and more launch.nodes for more ranks"
        )
    return local_rank


def rank_device(environ: Mapping[str, str] = os.environ) -> torch.device:
    """The device of this rank, which LOCAL_RANK and LOCAL_WORLD_SIZE describe; the CPU where torch sees no GPU.

    Raises:
        UserError: as `device_index`.
    """
    import torch

    if not torch.cuda.is_available():
        return torch.device("cpu")
    local_rank, ranks = int(environ.get("LOCAL_RANK") or 0), int(environ.get("LOCAL_WORLD_SIZE") or 1)
    return torch.device("cuda", device_index(torch.cuda.device_count(), local_rank, ranks))


def bind_device(environ: MutableMapping[str, str] = os.environ) -> torch.device:
    """Make this rank's device the current one, and tell DeepSpeed, which takes LOCAL_RANK for the device's index.

    Raises:
        UserError: as `device_index`.
    """
    import torch

    device = rank_device(environ)
    environ["DS_ACCELERATOR"] = device.type
    if device.type == "cuda":
        environ["LOCAL_RANK"] = str(device.index)
        torch.cuda.set_device(device)
    return device
