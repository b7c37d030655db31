"""The device of a rank: one GPU that Slurm bound, all GPUs of a node, and more ranks than GPUs. CUDA is pretended."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch

from dual_hpc.errors import UserError
from dual_hpc.training.device import bind_device, device_index, rank_device


@pytest.mark.parametrize(
    ("visible", "local_rank", "ranks", "index"),
    [
        (1, 0, 1, 0),
        (1, 3, 4, 0),  # bound by Slurm: each sees its own alone
        (4, 0, 4, 0),
        (4, 3, 4, 3),
        (8, 3, 4, 3),  # more GPUs than ranks
        (4, 0, 1, 0),
    ],
)
def test_each_rank_has_a_device_that_it_sees(visible: int, local_rank: int, ranks: int, index: int) -> None:
    assert device_index(visible, local_rank, ranks) == index


@pytest.mark.parametrize(("visible", "local_rank", "ranks"), [(2, 0, 4), (2, 2, 4), (3, 3, 1), (2, 0, 3)])
def test_more_ranks_than_devices_are_refused_by_every_rank(visible: int, local_rank: int, ranks: int) -> None:
    with pytest.raises(UserError, match=rf"launch.ranks_per_node=[34]: .* sees {visible}; set .*per_node={visible},"):
        device_index(visible, local_rank, ranks)


def pretend_cuda(monkeypatch: pytest.MonkeyPatch, visible: int) -> list[Any]:
    """`visible` GPUs; returns the devices that were made the current one."""
    chosen: list[Any] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: visible > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: visible)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    return chosen


@pytest.mark.parametrize(("visible", "local_rank", "index"), [(1, "3", 0), (4, "3", 3)])
def test_deepspeed_is_told_the_index_of_the_device_and_not_the_number_of_the_rank(
    monkeypatch: pytest.MonkeyPatch, visible: int, local_rank: str, index: int
) -> None:
    chosen = pretend_cuda(monkeypatch, visible)
    environ = {"LOCAL_RANK": local_rank, "LOCAL_WORLD_SIZE": "4"}
    for _ in range(2):  # asked again, it answers the same
        assert bind_device(environ) == torch.device("cuda", index) == rank_device(environ)
        assert environ["LOCAL_RANK"] == str(index) and environ["DS_ACCELERATOR"] == "cuda"
    assert set(chosen) == {torch.device("cuda", index)}


def test_without_a_gpu_the_local_rank_stays_and_deepspeed_takes_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pretend_cuda(monkeypatch, 0) == []
    environ = {"LOCAL_RANK": "3", "DS_ACCELERATOR": "cuda"}
    assert bind_device(environ) == torch.device("cpu")
    assert environ == {"LOCAL_RANK": "3", "DS_ACCELERATOR": "cpu"}


PROGRAM = """
import os
os.environ.update(RANK="3", LOCAL_RANK="3", LOCAL_WORLD_SIZE="4", WORLD_SIZE="4", MASTER_ADDR="127.0.0.1",
                  MASTER_PORT="29777", OMPI_COMM_WORLD_LOCAL_RANK="2")
import torch
import torch.distributed as dist
torch.cuda.is_available = lambda: True
torch.cuda.device_count = lambda: 1
asked = []
torch.cuda.set_device = lambda device: asked.append(torch.device("cuda", device) if isinstance(device, int) else device)
def init(backend=None, *_, device_id=None, **__):
    asked.append(device_id)
    raise SystemExit("stop before NCCL")
dist.init_process_group = init
from dual_hpc.training.distributed import init_distributed
try:
    with init_distributed(1.0):
        pass
except SystemExit as end:
    assert str(end) == "stop before NCCL"
from deepspeed import comm
from deepspeed.runtime.engine import DeepSpeedEngine
assert "__compatible_ops__" not in vars(__import__("deepspeed").ops), "probed for compilers"
comm.get_world_size = comm.get_rank = lambda: 4
engine = DeepSpeedEngine.__new__(DeepSpeedEngine)
torch.nn.Module.__init__(engine)
engine._configure_with_arguments(None, None)
engine._set_distributed_vars(None)
assert set(asked) == {torch.device("cuda:0")}, asked
print("ok")
"""


@pytest.mark.slow
def test_deepspeed_takes_the_one_device_that_slurm_bound() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "ok", done.stdout + done.stderr
