"""What a job knows about itself, from the environment that the scheduler and the launcher give it."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress

JOB_ID = "DUAL_JOB_ID"  # set by the launcher: an array's member is "123_4", a local job its controller's process id

ALLOCATED = "DUAL_ALLOCATED"  # set by the batch script, when it begins; of a Slurm before 23.02, which does not say it


def job_id(environ: Mapping[str, str] = os.environ) -> str:
    """The id of this job; made from the process id outside of any."""
    return environ.get(JOB_ID) or environ.get("SLURM_JOB_ID") or f"local-{os.getpid()}"


def restart_count(environ: Mapping[str, str] = os.environ) -> int:
    """How often Slurm has started this job again: 0 the first time."""
    return int(environ.get("SLURM_RESTART_COUNT") or 0)


def node_name(environ: Mapping[str, str] = os.environ) -> str:
    """The name of this node; a scheduler's may differ from the host's."""
    return environ.get("SLURMD_NODENAME") or socket.gethostname()


def allocated_at(environ: Mapping[str, str] = os.environ) -> float | None:
    """When this job was given its nodes, Unix seconds; None where neither Slurm nor the batch script says it."""
    for name in ("SLURM_JOB_START_TIME", ALLOCATED):
        with suppress(KeyError, ValueError):
            if moment := float(environ[name]):
                return moment
    return None
