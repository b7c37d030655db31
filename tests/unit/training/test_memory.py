"""Peak memory in GB, of the host at least."""

from __future__ import annotations

import numpy as np
import torch

from dual_hpc.training.memory import peak_memory


def test_the_peak_of_the_host_rises_by_what_is_taken_and_stays() -> None:
    before = peak_memory(torch.device("cpu"))["host_memory_gb"]
    taken = np.ones(int((before + 0.2) * 1e9 / 8))  # more than the whole process ever had
    during = peak_memory(torch.device("cpu"))
    del taken
    assert set(during) == {"host_memory_gb"} and during["host_memory_gb"] >= before + 0.15
    assert peak_memory(torch.device("cpu"))["host_memory_gb"] >= during["host_memory_gb"]
