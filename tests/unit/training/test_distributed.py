"""Groups of ranks: two of them at once, from two threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from dual_hpc.errors import EnvironmentFault
from dual_hpc.training.distributed import World, first_contact


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[World]:
    """A process group of one."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield World(0, 1, torch.device("cpu"))
    dist.destroy_process_group()


def test_another_thread_uses_another_group(alone: World) -> None:
    apart = alone.new_gloo_group()
    answers: list[object] = []
    thread = threading.Thread(target=lambda: answers.extend([apart.all_gather("theirs"), apart.broadcast({"a": 1})]))
    thread.start()
    assert alone.all_reduce_sum(torch.ones(2)).tolist() == [1, 1] and alone.all_gather("ours") == ["ours"]
    thread.join(600)
    assert answers == [["theirs"], {"a": 1}]
    assert (apart.rank, apart.size, apart.device.type) == (0, 1, "cpu")


def test_ranks_that_cannot_connect_get_an_error_that_names_the_settings(
    alone: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(**_: object) -> None:
        raise RuntimeError("Gloo connectFullMesh failed with timeout\nmore")

    monkeypatch.setattr(dist, "new_group", unreachable)
    with pytest.raises(EnvironmentFault, match=r"connectFullMesh.*GLOO_SOCKET_IFNAME.*checkpoint.asynchronous=false"):
        alone.new_gloo_group()


def test_ranks_that_never_connect_end_in_time_with_the_settings_to_change() -> None:
    never = threading.Event()
    with pytest.raises(EnvironmentFault, match=r"did not connect within 0 s; set NCCL_SOCKET_IFNAME, .* NCCL_IB_HCA"):
        first_contact(never.wait, 0.2)  # as ncclCommInitRank waits: nothing in torch ends it
    never.set()


def test_what_goes_wrong_while_connecting_is_raised_as_it_is() -> None:
    assert first_contact(lambda: 3, 60) == 3

    def refused() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError, match="x"):
        first_contact(refused, 60)
