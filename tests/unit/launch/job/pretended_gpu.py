"""A node with GPUs, pretended: what torch.cuda and nvidia-smi say there. No GPU is needed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

GB = 1 << 30
TOO_OLD = "The NVIDIA driver on your system is too old (found version 12020). Please update your GPU driver"


class Node:
    """An H100 node with driver 580 and the CUDA 13 build of torch, unless it is changed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.monkeypatch, self.bin = monkeypatch, folder / "bin"
        self.bin.mkdir(parents=True)
        monkeypatch.setenv("PATH", f"{self.bin}:/usr/bin:/bin")
        monkeypatch.setenv("SLURMD_NODENAME", "n1")
        for name in ("CUDA_VISIBLE_DEVICES", "LOCAL_WORLD_SIZE", "LOCAL_RANK"):
            monkeypatch.delenv(name, raising=False)
        self.monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
        self.nvidia_smi("NVIDIA H100, 9.0, 580.65.06", count=4)
        self.torch("2.13.0+cu130", "13.0")
        self.gpus(4)
        self.memory(79, 80)

    def nvidia_smi(self, row: str, count: int = 1, processes: str = "") -> None:
        """What nvidia-smi answers: a row per GPU, and who computes there."""
        rows = "\n".join([row] * count)
        script = f'case "$1" in --query-gpu*) cat <<END\n{rows}\nEND\n;; *) cat <<END\n{processes}\nEND\nesac\n'
        (self.bin / "nvidia-smi").write_text(f"#!/bin/sh\n{script}")
        (self.bin / "nvidia-smi").chmod(0o755)

    def torch(self, version: str, cuda: str | None) -> None:
        """The build of torch."""
        self.monkeypatch.setattr(torch, "__version__", version)
        self.monkeypatch.setattr(torch.version, "cuda", cuda)

    def gpus(self, visible: int, why_not: str = "No CUDA GPUs are available", architecture: str = "9.0") -> None:
        """How many GPUs torch sees; where none, what it says when it is asked to begin."""

        def init() -> None:
            if not visible:
                raise RuntimeError(why_not)

        major, minor = map(int, architecture.split("."))
        built = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"]
        ones = torch.ones
        for name, stand_in in {
            "is_available": lambda: visible > 0,
            "init": init,
            "device_count": lambda: visible,
            "get_device_name": lambda device=None: "NVIDIA H100",
            "get_device_capability": lambda device=None: (major, minor),
            "get_arch_list": lambda: built,
            "get_device_properties": lambda device: SimpleNamespace(uuid=f"GPU-{torch.device(device).index}"),
        }.items():
            self.monkeypatch.setattr(torch.cuda, name, stand_in)

        def on_cpu(*shape: int, device: Any = None) -> torch.Tensor:
            return ones(*shape)

        self.monkeypatch.setattr(torch, "ones", on_cpu)

    def memory(self, free: float, total: float) -> None:
        """GB of a GPU."""
        found = (int(free * GB), int(total * GB))
        self.monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device=None: found)

    def fails(self, words: str) -> None:
        """What a computation on the GPU raises."""

        def broken(*shape: int, device: Any = None) -> torch.Tensor:
            raise RuntimeError(words)

        self.monkeypatch.setattr(torch, "ones", broken)
