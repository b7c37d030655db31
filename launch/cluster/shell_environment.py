"""What of the submitting shell's environment reaches a job: everything but what would change it unseen."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping

from dual_hpc.errors import UserError
from dual_hpc.run.this_job import ALLOCATED, JOB_ID

# Which cluster is asked, and as whom.
CONNECTION = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS", "SLURM_JWT", "SLURM_SACK_KEY")

# A login node's shell limits threads, a job's ranks have cores of their own; a profile's `environment` can set them.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")

_PREFIXES = ("SLURM_", "SBATCH_", "SRUN_", "SUBMITIT_", "PMI_", "PMIX_")
_NAMES = (
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
    JOB_ID,
    ALLOCATED,
    *THREADS,
)

# Options that sbatch would take from the environment, and what says the same here.
_INSTEAD = {
    "SBATCH_ACCOUNT": "launch.account",
    "SLURM_ACCOUNT": "launch.account",
    "SBATCH_PARTITION": "launch.partition",
    "SBATCH_QOS": "launch.qos",
    "SBATCH_CONSTRAINT": "launch.constraint",
    "SBATCH_TIMELIMIT": "launch.hours",
    "SBATCH_RESERVATION": "launch.reservation",
    "SBATCH_MEM_PER_NODE": "launch.memory",
    "SBATCH_EXCLUSIVE": "launch.extra={exclusive: true}",
    "SBATCH_CLUSTERS": "SLURM_CLUSTERS",
}


@contextlib.contextmanager
def without_allocation() -> Iterator[None]:
    """Hide the variables that sbatch would read as options, and those of the job that submits the next one."""
    inherited = [key for key in os.environ if key.startswith(_PREFIXES) or key in _NAMES]
    hidden = {key: os.environ.pop(key) for key in inherited if key not in CONNECTION}
    try:
        yield
    finally:
        os.environ.update(hidden)


def check_cluster(environ: Mapping[str, str]) -> None:
    """Refuse to submit to whichever of several clusters: a job's number means nothing without its cluster.

    Raises:
        UserError: the shell names several.
    """
    named = environ.get("SLURM_CLUSTERS", "")
    if "," in named or named == "all":
        raise UserError(f"SLURM_CLUSTERS={named}: a run is on one cluster; export the name of one")


def unused_options(environ: Mapping[str, str]) -> str:
    """A line that names the options in a user's shell that are not used; "" where there are none, and inside a job."""
    if "SLURM_JOB_ID" in environ:
        return ""
    unused = sorted(key for key in environ if key.startswith("SBATCH_") or key in _INSTEAD)
    return ", ".join(f"{key} is not used (write {_INSTEAD.get(key, 'launch.extra')})" for key in unused)
