"""Environment variables by which a library would use another device, precision or time limit than the run's settings.

Set by us: LOCAL_RANK and DS_ACCELERATOR (`device.py`), RANK, WORLD_SIZE, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT and
OMP_NUM_THREADS (`launch.job.rank`), CUBLAS_WORKSPACE_CONFIG and the heartbeat below. Left as the site or the profile
sets them: which devices are visible, which network is used, how memory is allocated. The log says all of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, MutableMapping
from fnmatch import fnmatchcase

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
REPEATABLE = (":4096:8", ":16:8")  # values with which cuBLAS gives the same result each time
HEARTBEAT = "TORCH_NCCL_HEARTBEAT_TIMEOUT_SEC"
_DEFAULT_HEARTBEAT = 480.0  # seconds, torch's own

_DEVICE = "the rank's device is chosen by LOCAL_RANK and the GPUs that it sees"
_PRECISION = "training.precision and training.tf32 decide"
_CLOCK = "training.collective_timeout_minutes and training.hang_minutes decide"
_LOADING = "every rank loads the whole model"
_MEETING = "the ranks meet at MASTER_ADDR and MASTER_PORT"

# Patterns of names, and what decides instead.
REMOVED = {
    "OMPI_COMM_WORLD_*": _DEVICE,  # DeepSpeed ends where its local rank is another than LOCAL_RANK
    "LOCAL_SIZE": _DEVICE,  # DeepSpeed's number of "devices" on a CPU
    "ACCELERATE_TORCH_DEVICE": _DEVICE,
    "ACCELERATE_USE_*": _LOADING,  # transformers leaves weights empty on all ranks but the first
    "FSDP_*": _LOADING,
    "ACCELERATE_MIXED_PRECISION": _PRECISION,
    "ACCELERATE_DOWNCAST_BF16": _PRECISION,
    "XLA_USE_BF16": _PRECISION,
    "XLA_DOWNCAST_BF16": _PRECISION,
    "NVIDIA_TF32_OVERRIDE": _PRECISION,  # above anything that a program asks of cuBLAS and cuDNN
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": _PRECISION,
    "TRITON_F32_DEFAULT": _PRECISION,
    "ONEDNN_DEFAULT_FPMATH_MODE": _PRECISION,
    "DNNL_DEFAULT_FPMATH_MODE": _PRECISION,
    "DS_ALLOW_DEPRECATED_FP16": _PRECISION,
    "DEEPSPEED_TIMEOUT": _CLOCK,
    "NCCL_BLOCKING_WAIT": _CLOCK,
    "TORCH_NCCL_BLOCKING_WAIT": _CLOCK,
    "NCCL_ASYNC_ERROR_HANDLING": _CLOCK,
    "TORCH_NCCL_ASYNC_ERROR_HANDLING": _CLOCK,
    "TORCH_NCCL_WAIT_TIMEOUT_DUMP_MILSEC": _CLOCK,
    "TORCHELASTIC_*": _MEETING,  # with its agent's store rank 0 would wait for somebody else's
    "TORCH_DIST_INIT_BARRIER": _MEETING,
    "TORCH_DISTRIBUTED_USE_TORCHCOMMS": _MEETING,
}

# Patterns of names that change speed, memory or the order of additions: theirs to set, worth knowing when runs differ.
REPORTED = (
    "CUDA_*",
    "NVIDIA_VISIBLE_DEVICES",
    "GPU_DEVICE_ORDINAL",
    "ROCR_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "NCCL_*",
    "TORCH_NCCL_*",
    "GLOO_*",
    "TORCH_GLOO_*",
    "TORCH_DISTRIBUTED_*",
    "TORCH_CUDNN_*",
    "TORCH_BLAS_*",
    "TORCH_LINALG_*",
    "TORCH_MKLDNN_*",
    "CUBLAS*",
    "CUDNN_*",
    "PYTORCH_*",
    "TRITON_INTERPRET",
    "DS_*",
    "ATEN_CPU_CAPABILITY",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "ONEDNN_MAX_CPU_ISA",
    "SLURM_GPUS*",
    "SLURM_JOB_GPUS",
    "SLURM_STEP_GPUS",
)
# Where something is, not how anything is computed.
_PLACES = ("CUDA_HOME", "CUDA_PATH", "CUDA_ROOT", "CUDA_VERSION", "CUDA_CACHE_PATH", "CUDA_PKG_*", "NCCL_VERSION")


def prepare_environment(environ: MutableMapping[str, str] = os.environ) -> list[str]:
    """Remove what would override the run's settings, and set what `training.deterministic` needs; returns a line for
    each variable that was another one. To be called before torch is imported: most are read once, when a library is
    loaded or first uses the device.
    """
    told = remove_overrides(environ)
    if (workspace := environ.get(WORKSPACE)) not in REPEATABLE:
        environ[WORKSPACE] = REPEATABLE[0]
        if workspace is not None:
            told.append(
                f"{WORKSPACE}={workspace} of the environment is not used: it makes products differ in last digits"
            )
    return told


def remove_overrides(environ: MutableMapping[str, str]) -> list[str]:
    """The first part of `prepare_environment`."""
    told = []
    for name in sorted(environ):
        reason = next((why for pattern, why in REMOVED.items() if fnmatchcase(name, pattern)), None)
        if reason is not None:
            told.append(f"{name}={environ.pop(name)} of the environment is not used: {reason}")
    return told


def reported(environ: Mapping[str, str] = os.environ) -> Iterator[str]:
    """NAME=value of the variables that are left as they are and matter."""
    for name in sorted(environ):
        if any(fnmatchcase(name, pattern) for pattern in REPORTED) and not any(
            fnmatchcase(name, pattern) for pattern in _PLACES
        ):
            yield f"{name}={environ[name]}"


def set_heartbeat(timeout_minutes: float, environ: MutableMapping[str, str] = os.environ) -> None:
    """NCCL's own monitor ends a process that it finds stuck: not before a collective may take that long."""
    environ[HEARTBEAT] = str(int(max(_DEFAULT_HEARTBEAT, 60 * timeout_minutes)))
