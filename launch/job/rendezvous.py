"""How the ranks of a job find each other: a store on as few interfaces as possible, a wait for all, a test all-reduce.

torch uses the store that this process has opened at MASTER_PORT; its own would listen on every interface.
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

GRACE = 30.0  # seconds that the others wait longer than rank 0, which decides
POLL_SECONDS = 0.2


def open_store(nodes: Sequence[str], rank: int, address: str, port: int, seconds: float) -> Store:
    """The store at rank 0, which must be kept until torch has joined it.

    Args:
        nodes: the node of each rank.

    Raises:
        BadNode: rank 0's node does not answer, or its port is taken.
    """
    from torch.distributed import TCPStore

    timeout = timedelta(seconds=seconds + GRACE)
    try:
        if rank != 0:
            return TCPStore(address, port, is_master=False, timeout=timeout)
        listener = listen(address, port)
        return TCPStore(
            *(address, port, None, True, timeout),
            wait_for_workers=False,
            multi_tenant=True,
            master_listen_fd=listener.detach() if listener is not None else None,
        )
    except (OSError, RuntimeError) as error:
        words = f"{nodes[0]} cannot be reached at port {port}: {one_line(error, 200)}"
        raise BadNode(words, [nodes[0]]) from error


def listen(address: str, port: int) -> socket.socket | None:
    """A socket that listens at `address` alone; None where the name resolves to several addresses or to the loopback:
    other nodes may resolve it to another address.
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


def wait_for_all_ranks(store: Store, nodes: Sequence[str], rank: int, seconds: float) -> None:
    """Wait until every rank has reached this point.

    Raises:
        BadNode: nodes of which a rank did not answer within `seconds`.
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


def check_all_reduce(store: Store, rank: int, size: int, seconds: float) -> None:
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
    os.environ["TORCH_NCCL_BLOCKING_WAIT"] = "1"  # so that a timeout raises instead of ending the process
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


def reachable_address(host: str, environ: Mapping[str, str]) -> str:
    """The first node's name, or its address where the scheduler's names do not resolve: srun was started there."""
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return environ.get("SLURM_LAUNCH_NODE_IPADDR") or host
    return host


def use_loopback() -> None:
    """Ranks of a single node communicate over the loopback interface."""
    os.environ["MASTER_ADDR"] = LOOPBACK
    for variable in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        os.environ.setdefault(variable, "lo")


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:300]
