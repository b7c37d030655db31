"""Where the ranks of a job meet: a store that listens no further than it must, a roll call, a sum over the network.

torch takes up the store that this process opened at MASTER_PORT; left to itself it would listen on every interface.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from dual_hpc.errors import EnvironmentFault, one_line
from launch.job.ports import LOOPBACK
from launch.job.preflight import BadNode

if TYPE_CHECKING:
    from torch.distributed import Store

GRACE = 30.0  # seconds by which the others wait longer than rank 0, whose word counts
POLL_SECONDS = 0.2


def open_store(nodes: Sequence[str], rank: int, address: str, port: int, seconds: float) -> Store:
    """The store at rank 0, which must be kept until torch has joined it.

    Args:
        nodes: the node of each rank.

    Raises:
        BadNode: rank 0's node does not answer, or its port is taken.
    """
    from torch.distributed import TCPStore

    patience = timedelta(seconds=seconds + GRACE)
    try:
        if rank != 0:
            return TCPStore(address, port, is_master=False, timeout=patience)
        listener = listen(address, port)
        return TCPStore(
            *(address, port, None, True, patience),
            wait_for_workers=False,
            multi_tenant=True,
            master_listen_fd=listener.detach() if listener is not None else None,
        )
    except (OSError, RuntimeError) as error:
        words = f"{nodes[0]} cannot be reached at port {port}: {one_line(error, 200)}"
        raise BadNode(words, [nodes[0]]) from error


def listen(address: str, port: int) -> socket.socket | None:
    """A socket that listens at `address` alone; None where a name stands for several addresses, or for the loopback:
    other nodes may know this one by another.
    """
    found = {str(info[4][0]) for info in socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)}
    host = found.pop()
    if found or (host != address and host.startswith("127.")):
        return None
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    listener.listen(1024)
    return listener


def roll_call(store: Store, nodes: Sequence[str], rank: int, seconds: float) -> None:
    """Wait until every rank is here.

    Raises:
        BadNode: nodes from which a rank did not answer within `seconds`.
    """
    here = [f"here/{peer}" for peer in range(len(nodes))]
    store.set(here[rank], "")
    if rank == 0:
        deadline = time.monotonic() + seconds
        while not store.check(here) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        silent = sorted({node for key, node in zip(here, nodes, strict=True) if not store.check([key])})
        store.set("silent", json.dumps(silent))
    try:
        silent = json.loads(store.get("silent"))
    except RuntimeError as error:
        raise BadNode(f"{nodes[0]} does not answer any more", [nodes[0]]) from error
    if silent:
        raise BadNode(f"{', '.join(silent)}: no answer within {seconds:.0f} s", silent)


def add_up(store: Store, rank: int, size: int, seconds: float) -> None:
    """One all-reduce over the network that the training will use.

    Raises:
        EnvironmentFault: it failed, took too long, or gave a wrong sum.
    """
    import torch
    import torch.distributed as dist

    backend, device = "gloo", torch.device("cpu")
    if torch.cuda.is_available():
        backend, device = "nccl", torch.device("cuda", int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
        torch.cuda.set_device(device)
    blocking = os.environ.get("TORCH_NCCL_BLOCKING_WAIT")
    os.environ["TORCH_NCCL_BLOCKING_WAIT"] = "1"  # a timeout is an exception, not the end of the process
    try:
        dist.init_process_group(
            *(backend, None, timedelta(seconds=seconds), size, rank), store=dist.PrefixStore("preflight", store)
        )
        total = torch.full((1 << 16,), float(rank + 1), device=device)
        dist.all_reduce(total)
        found, expected = total.unique().tolist(), size * (size + 1) / 2
        dist.destroy_process_group()
    except RuntimeError as error:
        raise EnvironmentFault(f"network: a first all-reduce over {backend} failed: {_first_line(error)}") from error
    finally:
        if blocking is None:
            del os.environ["TORCH_NCCL_BLOCKING_WAIT"]
        else:
            os.environ["TORCH_NCCL_BLOCKING_WAIT"] = blocking
    if found != [expected]:
        raise EnvironmentFault(f"network: a first all-reduce over {backend} gave {found[:4]} instead of {expected:g}")


def reachable(host: str, environ: Mapping[str, str]) -> str:
    """The first node's name, or its address where nobody resolves the scheduler's names: srun was started there."""
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return environ.get("SLURM_LAUNCH_NODE_IPADDR") or host
    return host


def keep_to_loopback() -> None:
    """The ranks of one node meet, and talk, without the network."""
    os.environ["MASTER_ADDR"] = LOOPBACK
    for variable in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        os.environ.setdefault(variable, "lo")


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:300]
