"""What the shell of whoever submits would change unseen is removed, what a site sets is told."""

from __future__ import annotations

import pytest

from dual_hpc.training.environment import HEARTBEAT, prepare_environment, remove_overrides, reported, set_heartbeat


@pytest.mark.parametrize(
    ("name", "decides"),
    [
        ("OMPI_COMM_WORLD_LOCAL_RANK", "LOCAL_RANK"),
        ("OMPI_COMM_WORLD_RANK", "LOCAL_RANK"),
        ("LOCAL_SIZE", "LOCAL_RANK"),
        ("ACCELERATE_TORCH_DEVICE", "LOCAL_RANK"),
        ("ACCELERATE_USE_FSDP", "every rank loads the whole model"),
        ("FSDP_CPU_RAM_EFFICIENT_LOADING", "every rank loads the whole model"),
        ("ACCELERATE_MIXED_PRECISION", "training.precision"),
        ("NVIDIA_TF32_OVERRIDE", "training.tf32"),
        ("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "training.tf32"),
        ("ONEDNN_DEFAULT_FPMATH_MODE", "training.precision"),
        ("DS_ALLOW_DEPRECATED_FP16", "training.precision"),
        ("DEEPSPEED_TIMEOUT", "training.collective_timeout_minutes"),
        ("TORCH_NCCL_BLOCKING_WAIT", "training.collective_timeout_minutes"),
        ("TORCH_NCCL_ASYNC_ERROR_HANDLING", "training.collective_timeout_minutes"),
        ("TORCHELASTIC_USE_AGENT_STORE", "MASTER_ADDR"),
    ],
)
def test_what_would_override_a_setting_is_removed_and_told(name: str, decides: str) -> None:
    environ = {name: "1", "PATH": "/bin", "RANK": "0"}
    (told,) = remove_overrides(environ)
    assert environ == {"PATH": "/bin", "RANK": "0"}
    assert told.startswith(f"{name}=1 of the environment is not used: ") and decides in told
    assert remove_overrides(environ) == []


def test_what_a_site_decides_stays_and_is_told() -> None:
    kept = {
        "CUDA_VISIBLE_DEVICES": "3",
        "CUDA_LAUNCH_BLOCKING": "1",
        "NCCL_SOCKET_IFNAME": "ib0",
        "NCCL_ALGO": "Ring",
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "TRITON_INTERPRET": "1",
    }
    environ = {**kept, "CUDA_HOME": "/usr/local/cuda", "HOME": "/root"}
    assert remove_overrides(environ) == [] and kept.items() <= environ.items()
    assert list(reported(environ)) == [f"{name}={kept[name]}" for name in sorted(kept)]


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [(None, ":4096:8", 0), (":16:8", ":16:8", 0), (":4096:8", ":4096:8", 0), (":0:0", ":4096:8", 1)],
)
def test_products_repeat_from_the_first_one(before: str | None, after: str, lines: int) -> None:
    environ = {"DEEPSPEED_TIMEOUT": "1"} | ({"CUBLAS_WORKSPACE_CONFIG": before} if before else {})
    assert len(prepare_environment(environ)) == 1 + lines
    assert environ == {"CUBLAS_WORKSPACE_CONFIG": after}


@pytest.mark.parametrize(("minutes", "seconds"), [(1.0, "480"), (10.0, "600"), (60.0, "3600")])
def test_the_monitor_of_nccl_is_no_less_patient_than_a_collective(minutes: float, seconds: str) -> None:
    environ = {HEARTBEAT: "5"}
    set_heartbeat(minutes, environ)
    assert environ == {HEARTBEAT: seconds}
