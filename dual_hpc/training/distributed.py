"""The ranks of this training: who we are, and the few ways to agree."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from dual_hpc.errors import EnvironmentFault, UserError

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
_NEEDED = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
APART_MINUTES = 60.0  # for whom one rank's slow disk holds up nobody's training


class World:
    """The process group of a run; its methods are collective. Also the `Group` of the checkpoint room.

    Attributes:
        rank, size: our number and how many there are.
        device: where this rank computes.
    """

    def __init__(self, rank: int, size: int, device: torch.device, group: Any = None) -> None:
        """`group`: torch's process group; None for the one that all ranks joined at the start."""
        self.rank, self.size, self.device, self._group = rank, size, device, group

    def apart(self) -> World:
        """The same ranks in a gloo group of their own (collective): for one other thread, which uses nothing else.

        Collectives of two groups don't have to come in the same order on all ranks, those of one group do.

        Raises:
            EnvironmentFault: the nodes do not reach each other by the network that gloo chose.
        """
        import torch
        import torch.distributed as dist

        try:
            group = dist.new_group(backend="gloo", timeout=timedelta(minutes=APART_MINUTES))
        except RuntimeError as error:
            why = str(error).splitlines()[0][:200]
            raise EnvironmentFault(
                f"the ranks cannot meet over TCP ({why}); name the network in GLOO_SOCKET_IFNAME, or set "
                "checkpoint.asynchronous=false"
            ) from error
        return World(self.rank, self.size, torch.device("cpu"), group)

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Element-wise sum over the ranks, in place."""
        import torch.distributed as dist

        dist.all_reduce(values, group=self._group)
        return values

    def gather(self, value: T) -> list[T]:
        """Every rank's value, in rank order, on every rank."""
        import torch.distributed as dist

        values: list[T | None] = [None] * self.size
        dist.all_gather_object(values, value, group=self._group)
        return values  # type: ignore[return-value]

    def broadcast(self, value: T) -> T:
        """Rank 0's value on every rank."""
        import torch.distributed as dist

        values = [value]
        dist.broadcast_object_list(values, src=0, group=self._group)
        return values[0]


@contextmanager
def joined(timeout_minutes: float) -> Iterator[World]:
    """Join the process group that the launcher's environment describes, and leave it when all went well.

    Raises:
        UserError: a variable of the rendezvous is missing.
    """
    missing = [name for name in _NEEDED if name not in os.environ]
    if missing:
        raise UserError(f"{', '.join(missing)} not set: training is started by `dual-hpc train` or `dual-hpc submit`")
    import torch
    import torch.distributed as dist

    cuda = torch.cuda.is_available()
    if not cuda:
        os.environ["DS_ACCELERATOR"] = "cpu"
    import deepspeed

    # Otherwise DeepSpeed compiles it for half a minute at every first start on a CPU; gloo does its work.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    device = torch.device("cpu")
    if cuda:
        # A task that Slurm bound to one GPU sees a single device, whatever its local rank.
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
        torch.cuda.set_device(device)
    deepspeed.init_distributed(
        dist_backend="nccl" if cuda else "gloo", timeout=timedelta(minutes=timeout_minutes), verbose=False
    )
    yield World(dist.get_rank(), dist.get_world_size(), device)
    dist.destroy_process_group()  # not after an error: with a peer gone it can hang


def seed_everything(parts: Sequence[int]) -> None:
    """Seed every generator of this process from integers.

    Called at every step with (seed, step, rank): the random state is a function of the position, so there is none to
    save, and validation or a restart in between cannot shift it.
    """
    import numpy as np
    import torch

    state = np.random.SeedSequence(list(parts)).generate_state(2, dtype=np.uint64)
    random.seed(int(state[0]))
    np.random.seed(int(state[0]) & 0xFFFFFFFF)
    torch.manual_seed(int(state[1]) & 0x7FFFFFFFFFFFFFFF)
