"""Ranks meet at a store that listens no further than it must; a silent node is named."""

from __future__ import annotations

import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.errors import EnvironmentFault
from launch.job import rendezvous
from launch.job.node_faults import BadNode
from launch.job.ports import LOOPBACK, free_port
from launch.job.rendezvous import (
    check_all_reduce,
    listen,
    open_store,
    reachable_address,
    use_loopback,
    wait_for_all_ranks,
)
from launch.job.roll_call import Report

pytest.importorskip("torch")


def together(nodes: list[str], present: list[int], port: int, seconds: float) -> list[BaseException | None]:
    """What the roll call says to each rank that is present; each is a thread."""

    kept = []  # as a job does: the others still read rank 0's store when it has heard enough

    def rank(number: int) -> BaseException | None:
        try:
            store = open_store(nodes, number, LOOPBACK, port, seconds)
            kept.append(store)
            wait_for_all_ranks(store, nodes, number, seconds)
        except EnvironmentFault as error:
            return error
        return None

    with ThreadPoolExecutor(len(present)) as pool:
        return list(pool.map(rank, present))


def test_all_ranks_that_come_are_let_in() -> None:
    assert together(["n1", "n1", "n2"], [0, 1, 2], free_port(), 60) == [None, None, None]


def test_every_silent_node_is_named_to_all() -> None:
    for said in together(["n1", "n1", "n2", "n3"], [0, 2], free_port(), 1.0):
        assert isinstance(said, BadNode) and said.nodes == ["n1", "n3"]
        assert "node n1, n3: no answer within 1 s" in str(said)


def test_a_silent_first_rank_is_named_by_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendezvous, "GRACE", 0.5)
    (said,) = together(["n1", "n2"], [1], free_port(), 0.5)
    assert isinstance(said, BadNode) and said.nodes == ["n1"]


def test_a_port_that_is_taken_is_its_nodes_fault() -> None:
    with socket.socket() as other:
        other.bind((LOOPBACK, 0))
        other.listen()
        with pytest.raises(BadNode, match="n1 cannot be reached at port") as caught:
            open_store(["n1"], 0, LOOPBACK, other.getsockname()[1], 1.0)
    assert caught.value.nodes == ["n1"]


def listening_at(port: int) -> list[str]:
    """The local addresses that listen at a port, as the kernel writes them."""
    tables = [Path(f"/proc/net/{name}") for name in ("tcp", "tcp6")]
    lines = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    return [words[1].split(":")[0] for words in lines if words[3] == "0A" and int(words[1].split(":")[1], 16) == port]


def test_torch_takes_up_the_store_which_listens_on_the_loopback_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch.distributed as dist

    port = free_port()
    for name, value in (("RANK", 0), ("LOCAL_RANK", 0), ("WORLD_SIZE", 1), ("MASTER_PORT", port)):
        monkeypatch.setenv(name, str(value))
    for name in ("MASTER_ADDR", "GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        monkeypatch.delenv(name, raising=False)
    use_loopback()
    store = open_store(["n1"], 0, os.environ["MASTER_ADDR"], port, 60)
    wait_for_all_ranks(store, ["n1"], 0, 60)
    check_all_reduce(store, 0, 1, 60)
    dist.init_process_group("gloo")
    try:
        assert listening_at(port) == ["0100007F"]
    finally:
        dist.destroy_process_group()


def resolving(*addresses: str) -> Any:
    return lambda *args, **more: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (found, 0)) for found in addresses]


@pytest.mark.parametrize("addresses", [("10.0.0.1", "10.1.0.1"), ("127.0.1.1",)])
def test_a_name_that_other_nodes_may_know_otherwise_is_left_to_torch(
    addresses: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolving(*addresses))
    assert listen("n1", 12_000) is None


def test_a_name_of_one_address_is_listened_at_there_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setattr(socket, "getaddrinfo", resolving(LOOPBACK))
    listener = listen(LOOPBACK, port)
    assert listener is not None and listener.getsockname() == (LOOPBACK, port)
    listener.close()


def test_where_nobody_resolves_a_nodes_name_its_address_serves() -> None:
    launched = {"SLURM_LAUNCH_NODE_IPADDR": "10.0.0.7"}
    assert reachable_address("localhost", launched) == "localhost"
    assert reachable_address("no-such-node.invalid", launched) == "10.0.0.7"
    assert reachable_address("no-such-node.invalid", {}) == "no-such-node.invalid"


def test_a_wrong_sum_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch.distributed as dist

    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    monkeypatch.setattr(dist, "all_reduce", lambda total: total.mul_(3))
    store = open_store(["n1"], 0, LOOPBACK, free_port(), 60)
    with pytest.raises(EnvironmentFault, match=r"gave \[3.0\] instead of 1"):
        check_all_reduce(store, 0, 1, 60)


def test_an_all_reduce_that_hangs_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch.distributed as dist

    never = threading.Event()
    monkeypatch.setattr(dist, "init_process_group", lambda *args, **more: never.wait())
    monkeypatch.setattr(rendezvous, "GRACE", 0.1)
    monkeypatch.delenv(rendezvous.BLOCKING_WAIT, raising=False)
    store = open_store(["n1"], 0, LOOPBACK, free_port(), 60)
    with pytest.raises(EnvironmentFault, match="network: the ranks did not connect"):
        check_all_reduce(store, 0, 1, 0.1)
    assert rendezvous.BLOCKING_WAIT not in os.environ
    never.set()


def test_every_rank_hears_what_one_has_found() -> None:
    port, nodes = free_port(), ["n1", "n2"]
    kept = []

    def rank(number: int) -> BaseException | None:
        store = open_store(nodes, number, LOOPBACK, port, 60)
        kept.append(store)
        try:
            wait_for_all_ranks(store, nodes, number, 60, Report("its GPU is dark" if number == 1 else ""))
        except EnvironmentFault as error:
            return error
        return None

    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(rank, range(2)))
    assert [str(one) for one in said] == ["node n2: its GPU is dark"] * 2
    assert all(isinstance(one, BadNode) and one.nodes == ["n2"] for one in said)
