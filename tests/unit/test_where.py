"""The suite computes on the CPU on every machine, also on one with a GPU, unless `-m gpu` asks for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.where import choose_device, only_gpu

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("expression", "gpu"),
    [
        ("gpu", True),
        ("gpu and not slow", True),
        ("", False),
        ("not distributed and not slurm", False),
        ("not gpu", False),
    ],
)
def test_only_the_gpus_own_tests_see_a_gpu(expression: str, gpu: bool) -> None:
    environ = {"TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": "2"}
    choose_device(expression, environ)
    assert only_gpu(expression) == gpu
    assert environ == ({"CUDA_VISIBLE_DEVICES": "2"} if gpu else {"TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""})


def test_this_process_interprets_its_kernels_and_sees_no_gpu() -> None:
    import torch

    from dual_hpc.kernels.dispatch import interpreting

    assert interpreting() and os.environ["CUDA_VISIBLE_DEVICES"] == "" and not torch.cuda.is_available()


def test_tests_of_the_gpu_do_not_run_beside_the_others() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "-k", "fifty"]
    done = subprocess.run(
        [*command, "tests/kernels/test_gpu.py"], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0 and "4 skipped" in done.stdout, done.stdout
    assert "on a GPU, in a process of its own: pytest -m gpu" in done.stdout
