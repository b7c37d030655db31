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
from dual_hpc.training.device import rank_device
from dual_hpc.training.distributed import first_contact
from launch.job.node_faults import BadNode
from launch.job.ports import LOOPBACK
from launch.job.roll_call import Report, Verdict, judge

if TYPE_CHECKING:
    from torch.distributed import Store

GRACE = 30.0  # seconds that the others wait longer than rank 0, which decides
POLL_SECONDS = 0.2
NOTHING_WRONG = Report()
BLOCKING_WAIT = "TORCH_NCCL_BLOCKING_WAIT"


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
    listener.listen(socket.SOMAXCONN)
    return listener


def wait_for_all_ranks(
    store: Store, nodes: Sequence[str], rank: int, seconds: float, own: Report = NOTHING_WRONG
) -> None:
    """Wait until every rank has reached this point, and hear what rank 0 concludes from their reports.

    Args:
        own: this rank's.

    Raises:
        BadNode: nodes of which a rank did not answer within `seconds`, or found its node unfit.
        UserError: two ranks were given the same GPU.
    """
    here = [f"here/{peer}" for peer in range(len(nodes))]
    store.set(here[rank], own.text())
    if rank == 0:
        deadline = time.monotonic() + seconds
        while not store.check(here) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        reports = [Report(**json.loads(store.get(key))) if store.check([key]) else None for key in here]
        store.set("verdict", judge(nodes, reports, seconds).text())
    try:
        verdict = Verdict(**json.loads(store.get("verdict")))
    except RuntimeError as error:
        raise BadNode(f"{nodes[0]}: does not answer any more", [nodes[0]]) from error
    if (fault := verdict.error()) is not None:
        raise fault


def check_all_reduce(store: Store, rank: int, size: int, seconds: float) -> None:
    """One all-reduce over the network that the training will use.

    Raises:
        EnvironmentFault: it failed, took too long, or gave a wrong sum.
    """
    import torch
    import torch.distributed as dist

    device = rank_device()
    backend = "nccl" if device.type == "cuda" else "gloo"

    def reduce() -> list[float]:
        if device.type == "cuda":
            torch.cuda.set_device(device)  # of this thread
        dist.init_process_group(
            *(backend, None, timedelta(seconds=seconds), size, rank), store=dist.PrefixStore("preflight", store)
        )
        total = torch.full((1 << 16,), float(rank + 1), device=device)
        dist.all_reduce(total)
        found: list[float] = total.unique().tolist()
        dist.destroy_process_group()
        return found

    blocking = os.environ.get(BLOCKING_WAIT)
    os.environ[BLOCKING_WAIT] = "1"  # so that a timeout raises instead of ending the process
    try:
        found, expected = first_contact(reduce, seconds + GRACE), size * (size + 1) / 2
    except EnvironmentFault:
        raise
    except RuntimeError as error:
        raise EnvironmentFault(f"network: a first all-reduce over {backend} failed: {_first_line(error)}") from error
    finally:
        if blocking is None:
            del os.environ[BLOCKING_WAIT]
        else:
            os.environ[BLOCKING_WAIT] = blocking
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
