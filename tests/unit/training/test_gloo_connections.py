"""Connections of a saver's process group: a few per rank, however many ranks there are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from dual_hpc.errors import EnvironmentFault
from dual_hpc.training.distributed import World

# Ranks, forked from one process: each makes the saver's group, uses it, and sends how many sockets that has opened.
_RANKS = """
import json, os, sys
import torch
import torch.distributed as dist
from dual_hpc.training.distributed import World

def sockets():
    links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    return sum(os.readlink(link).startswith("socket:") for link in links if os.path.lexists(link))

def main(rank, size, store):
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=size)
    before = sockets()
    apart = World(rank, size, torch.device("cpu")).new_gloo_group()
    for step in range(3):
        assert apart.all_gather((rank, step)) == [(other, step) for other in range(size)]
        assert apart.broadcast(f"{rank}:{step}") == f"0:{step}"
    opened = apart.all_gather(sockets() - before)
    if rank == 0:
        print(json.dumps(opened), flush=True)
    dist.barrier()

size = int(sys.argv[1])
children = []
for rank in range(size):
    child = os.fork()
    if not child:
        code = 1
        try:
            main(rank, size, sys.argv[2])
            code = 0
        finally:
            os._exit(code)
    children.append(child)
sys.exit(any([os.waitpid(child, 0)[1] for child in children]))
"""


def test_a_saver_opens_a_few_connections_per_rank_not_one_to_each_other_rank(tmp_path: Path) -> None:
    ranks = 10
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", _RANKS, str(ranks), str(tmp_path / "store")],
        capture_output=True, text=True, env=environment, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    opened = json.loads(done.stdout)
    # A listening socket, two neighbours in the ring, and the tree of the broadcast: up to log2 of the ranks.
    assert max(opened) < ranks - 1 and len(opened) == ranks, opened


def test_a_network_that_only_fails_when_it_is_used_is_told_when_the_group_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:

        def unreachable(*_: object, **__: object) -> None:
            raise RuntimeError("Connection refused\nmore")

        monkeypatch.setattr(dist, "all_gather_object", unreachable)
        with pytest.raises(EnvironmentFault, match=r"Connection refused.*GLOO_SOCKET_IFNAME"):
            World(0, 1, torch.device("cpu")).new_gloo_group()
    finally:
        dist.destroy_process_group()
    assert "TORCH_GLOO_LAZY_INIT" not in os.environ
