"""The process group of a training: this rank, and the collectives it uses."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from dual_hpc.background import in_thread
from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.training.device import bind_device
from dual_hpc.training.environment import prepare_environment, set_heartbeat

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
_REQUIRED = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
CONTACT_GRACE = 60.0  # seconds that torch's own limits come earlier: they name what is missing
_GLOO_LAZY = "TORCH_GLOO_LAZY_INIT"
GLOO_TIMEOUT_MINUTES = 60.0  # long, because one rank's slow disk delays no training


class World:
    """The process group of a run; its methods are collective. It is a `dual_hpc.group.Group` as well.

    Attributes:
        rank, size: this rank's number, and the number of ranks.
        device: where this rank computes.
    """

    def __init__(self, rank: int, size: int, device: torch.device, group: Any = None) -> None:
        """`group`: torch's process group; None for the default one."""
        self.rank, self.size, self.device, self._group = rank, size, device, group

    def new_gloo_group(self) -> World:
        """The same ranks in another process group, for one other thread, which uses no other group. Collective.

        Collectives of one group must come in the same order on all ranks, those of two groups need not.

        Raises:
            EnvironmentFault: the nodes do not reach each other over the network that gloo selected.
        """
        import torch
        import torch.distributed as dist

        try:
            with _gloo_connects_when_used():
                group = dist.new_group(backend="gloo", timeout=timedelta(minutes=GLOO_TIMEOUT_MINUTES))
            apart = World(self.rank, self.size, torch.device("cpu"), group)
            apart.all_gather(None)  # connects the neighbours of the ring: a network that cannot is told here
        except RuntimeError as error:
            why = str(error).splitlines()[0][:200]
            raise EnvironmentFault(
                f"the ranks cannot connect over TCP ({why}); set GLOO_SOCKET_IFNAME to the name of the network, or set "
                "checkpoint.asynchronous=false"
            ) from error
        return apart

    def all_reduce_sum(self, values: torch.Tensor) -> torch.Tensor:
        """Element-wise sum over the ranks, in place."""
        import torch.distributed as dist

        dist.all_reduce(values, group=self._group)
        return values

    def all_gather(self, value: T) -> list[T]:
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
def _gloo_connects_when_used() -> Iterator[None]:
    """Groups of gloo made inside open a connection when a message needs it: 2 to 4 per rank for what a saver does.

    Otherwise each rank is connected to each other one when the group is made: 511 sockets per rank of 512.
    """
    before = os.environ.get(_GLOO_LAZY)
    os.environ[_GLOO_LAZY] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_GLOO_LAZY]
        else:
            os.environ[_GLOO_LAZY] = before


@contextmanager
def init_distributed(timeout_minutes: float) -> Iterator[World]:
    """Join the process group that the launcher's environment describes, and leave it if no error occurred.

    Raises:
        UserError: a variable of the rendezvous is missing, or this node has fewer GPUs than ranks.
        EnvironmentFault: the ranks do not reach each other in time.
    """
    missing = [name for name in _REQUIRED if name not in os.environ]
    if missing:
        raise UserError(f"{', '.join(missing)} not set: training is started by `dual-hpc train` or `dual-hpc submit`")
    for line in prepare_environment():
        print(line, flush=True)
    set_heartbeat(timeout_minutes)
    import torch
    import torch.distributed as dist

    device = bind_device()
    cuda = device.type == "cuda"
    import deepspeed

    if not cuda:
        # Otherwise DeepSpeed compiles it for half a minute at the first start; gloo does the same work. Not with a GPU,
        # where it would not be compiled, and asking for this table probes for each of DeepSpeed's compilers.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False

    def join() -> None:
        if cuda:
            torch.cuda.set_device(device)  # of this thread
        deepspeed.init_distributed(
            dist_backend="nccl" if cuda else "gloo", timeout=timedelta(minutes=timeout_minutes), verbose=False
        )
        dist.all_reduce(torch.zeros(1, device=device))  # where NCCL connects

    first_contact(join, 60 * timeout_minutes + CONTACT_GRACE)
    yield World(dist.get_rank(), dist.get_world_size(), device)
    dist.destroy_process_group()  # not after an error: it can hang if another rank has ended


def first_contact(connect: Callable[[], T], seconds: float) -> T:
    """Call `connect`, in which the ranks connect to each other; no time limit of torch holds for how NCCL does that.

    Raises:
        EnvironmentFault: it takes longer. Its thread goes on, so that this process should end.
        Whatever `connect` raises.
    """
    future = in_thread(connect)
    if not wait([future], timeout=seconds).done:
        raise EnvironmentFault(
            f"network: the ranks did not connect within {seconds:.0f} s; set NCCL_SOCKET_IFNAME, GLOO_SOCKET_IFNAME or "
            "NCCL_IB_HCA in the `environment` of the profile to what connects the nodes (NCCL_DEBUG=INFO shows what "
            "NCCL selects)"
        )
    return future.result()


def seed_everything(parts: Sequence[int]) -> None:
    """Seed every generator of this process from integers.

    Called before every step with (seed, step, rank): the random state is a function of the step, so a checkpoint does
    not hold it, and a validation or a restart does not change it.
    """
    import numpy as np
    import torch

    state = np.random.SeedSequence(list(parts)).generate_state(2, dtype=np.uint64)
    random.seed(int(state[0]))
    np.random.seed(int(state[0]) & 0xFFFFFFFF)
    torch.manual_seed(int(state[1]) & 0x7FFFFFFFFFFFFFFF)
