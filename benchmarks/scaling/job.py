"""The start of a job: the wait for all ranks over one store, and the connections of the saver's group."""

from __future__ import annotations

import os
import time
from datetime import timedelta

import torch
from torch.distributed import HashStore, ProcessGroupGloo, TCPStore

from benchmarks.scaling.ranks import ThreadGroup, on_threads
from launch.job.ports import LOOPBACK, free_port
from launch.job.rendezvous import wait_for_all_ranks


def roll_call(ranks: int) -> dict[str, float]:
    """All ranks meet: each has a connection of its own to the store of rank 0."""
    port = free_port()
    master = TCPStore(LOOPBACK, port, None, True, timedelta(seconds=120), wait_for_workers=False)
    nodes = [f"n{rank // 8}" for rank in range(ranks)]

    def rank(group: ThreadGroup) -> float:
        store = TCPStore(LOOPBACK, port, is_master=False, timeout=timedelta(seconds=120))
        group.all_gather(None)
        begun = time.perf_counter()
        wait_for_all_ranks(store, nodes, group.rank, 60)
        return time.perf_counter() - begun

    seconds = max(on_threads(ranks, rank))
    del master
    return {"s": seconds}


def connections(ranks: int, lazy: bool) -> dict[str, float]:
    """Sockets that one rank holds in a gloo group after a gather and a broadcast; ranks share this process."""
    store, before = HashStore(), _sockets()

    def rank(group: ThreadGroup) -> ProcessGroupGloo:
        options = ProcessGroupGloo._Options()
        options._timeout, options._threads = timedelta(seconds=300), 1
        options._devices = [ProcessGroupGloo.create_device(hostname=LOOPBACK, lazy_init=lazy)]
        made = ProcessGroupGloo(store, group.rank, group.size, options)
        found = [[torch.empty(1, dtype=torch.int64) for _ in range(ranks)]]
        made.allgather(found, [torch.tensor([group.rank])]).wait()
        assert [int(value) for value in found[0]] == list(range(ranks))
        word = torch.tensor([group.rank])
        made.broadcast([word], torch.distributed.BroadcastOptions()).wait()
        assert int(word) == 0
        return made

    begun = time.perf_counter()
    groups = on_threads(ranks, rank)
    seconds, opened = time.perf_counter() - begun, _sockets() - before
    del groups
    return {"sockets per rank": opened / ranks, "s": seconds}


def _sockets() -> int:
    found = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            found += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
        except OSError:  # the descriptor of the listing itself
            continue
    return found
