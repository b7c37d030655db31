"""Checks of the node a rank runs on, in the job, before training begins.

What is wrong is this node's (`BadNode`: the next job avoids it, see `requeue.py`), the installation's, which fails on
any such node (`WrongInstallation`), or the user's (`UserError`).
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from dual_hpc.errors import EnvironmentFault
from dual_hpc.run.this_job import node_name
from launch.job.gpu_check import gpu_problem
from launch.job.node_faults import BadNode

SHARED_MEMORY = 64 << 20  # bytes free in /dev/shm: batches of the data workers, NCCL's buffers
TEMPORARY = 16 << 20  # bytes free where TMPDIR is: compiled kernels, caches of libraries
STORE_BYTES = 1 << 30
STORE_INODES = 1_000


def check_node(run: Path, wants_gpu: bool, cores: int | None) -> None:
    """Check the device, the cores, /dev/shm, the folder for temporary files and the store.

    Args:
        wants_gpu: the cluster profile has GPUs.
        cores: what the scheduler allocated to this rank; None if unknown.

    Raises:
        BadNode: with the first thing that is wrong.
        WrongInstallation: torch or the driver does not fit the GPU.
        UserError: the node has fewer GPUs than ranks.
        EnvironmentFault: the store is full, which another node would not change.
    """
    check_store(run)
    problem = shared_memory() or temporary_folder() or affinity(cores) or (gpu_problem() if wants_gpu else None)
    if problem is not None:
        raise _bad(problem)


def check_store(run: Path) -> None:
    """Write, flush and rename a file, as a checkpoint does, and check the free space."""
    probe = run / "logs" / f".preflight-{socket.gethostname()}-{os.getpid()}"
    try:
        with open(probe, "wb") as file:
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
        renamed = probe.rename(probe.with_name(f"{probe.name}.renamed"))
        renamed.unlink()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise EnvironmentFault(f"store: {run} cannot be written: {error.strerror}") from error
        raise _bad(f"{run} cannot be written: {error.strerror}") from error
    usage = os.statvfs(run)
    if usage.f_bavail * usage.f_frsize < STORE_BYTES:
        raise EnvironmentFault(f"store: less than {STORE_BYTES >> 30} GB are free on the file system of {run}")
    if usage.f_files and usage.f_favail < STORE_INODES:
        raise EnvironmentFault(f"store: less than {STORE_INODES} inodes are free on the file system of {run}")


def shared_memory(folder: str = "/dev/shm") -> str | None:
    """What is wrong with /dev/shm; None if nothing."""
    usage = os.statvfs(folder)
    free = usage.f_bavail * usage.f_frsize
    return f"{folder} has only {free >> 20} MB free" if free < SHARED_MEMORY else None


def temporary_folder(environ: Mapping[str, str] = os.environ) -> str | None:
    """What is wrong with the folder for temporary files; None if nothing.

    One that is not there is not used: a job that was submitted from within another inherits the other's TMPDIR.
    """
    named = [environ.get(name, "") for name in ("TMPDIR", "TEMP", "TMP")]
    folder = next((name for name in named if name and os.path.isdir(name)), "/tmp")
    usage = os.statvfs(folder)
    free = usage.f_bavail * usage.f_frsize
    if free < TEMPORARY:
        return f"{folder}, the folder for temporary files (TMPDIR), has only {free >> 20} MB free"
    if usage.f_files and not usage.f_favail:
        return f"{folder}, the folder for temporary files (TMPDIR), has no inode free"
    return None


def affinity(cores: int | None) -> str | None:
    """What is wrong with the cores that this process may use; None if nothing."""
    allowed = len(os.sched_getaffinity(0))
    if cores is None or allowed >= min(cores, os.cpu_count() or cores):
        return None
    return f"this rank is bound to {allowed} of its {cores} cores; was --cpus-per-task passed to srun?"


def _bad(problem: str) -> BadNode:
    return BadNode(f"{node_name()}: {problem}", [node_name()], problem)
