"""Peak memory of this rank, logged with every step: it shows an out-of-memory error before it happens."""

from __future__ import annotations

import resource

import torch


def peak_memory(device: torch.device) -> dict[str, float]:
    """GB by name: `host_memory_gb` of this process (not its data workers), `device_memory_gb` where there is a GPU."""
    found = {"host_memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9}  # Linux counts in KiB
    if device.type == "cuda":
        found["device_memory_gb"] = torch.cuda.max_memory_allocated(device) / 1e9
    return found
