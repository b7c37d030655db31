"""Part 1: device, driver, versions, architectures, and how fast this card copies and multiplies."""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.facts import ON_GPU, Facts

PACKAGES = ("triton", "numpy", "transformers", "deepspeed", "pydantic", "av", "soundfile", "safetensors")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.machine", description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    facts = Facts(parser.parse_args().out)
    facts.add("Python", platform.python_version())
    facts.add("torch", f"{torch.__version__}, CUDA {torch.version.cuda}")
    for name in PACKAGES:
        try:
            facts.add(name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            facts.add(name, "not installed")
    if not ON_GPU:
        facts.add("device", "CPU: a rehearsal")
        return
    from launch.cluster.gpu_facts import gpu_facts

    facts.add("device", torch.cuda.get_device_name())
    facts.add("architecture", "sm_{}{}".format(*torch.cuda.get_device_capability()))
    facts.add("driver", gpu_facts().driver)
    facts.add("architectures of torch", " ".join(torch.cuda.get_arch_list()))
    free, total = torch.cuda.mem_get_info()
    facts.add("memory", round(total / 2**30, 1), "GB", free=round(free / 2**30, 1))
    source = torch.empty(1 << 30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    facts.add("copy", round(2 * 2**30 / seconds(lambda: target.copy_(source)) / 1e9), "GB/s")
    for dtype in (torch.bfloat16, torch.float32):
        a, b = (torch.randn(8192, 8192, device="cuda", dtype=dtype) for _ in range(2))
        rate = 2 * 8192**3 / seconds(lambda a=a, b=b: a @ b) / 1e12  # type: ignore[misc]
        facts.add(f"product of {dtype}".replace("torch.", ""), round(rate), "TFLOP/s")


def seconds(call: Callable[[], Any], times: int = 10) -> float:
    """Of one call on the device, the mean of ten after three."""
    for _ in range(3):
        call()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(times):
        call()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1e3 / times


if __name__ == "__main__":
    main()
