"""What of the submitting shell reaches a job."""

from __future__ import annotations

import os

import pytest

from dual_hpc.errors import UserError
from launch.cluster.shell_environment import (
    CONNECTION,
    THREADS,
    check_cluster,
    unused_options,
    without_allocation,
)


def test_nothing_of_the_submitting_job_or_of_the_shells_options_reaches_sbatch(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = ("SLURM_JOB_ID", "SLURM_CPUS_PER_TASK", "SBATCH_QOS", "SRUN_DEBUG", "RANK", "MASTER_PORT", "DUAL_JOB_ID")
    for name in (*foreign, *THREADS, *CONNECTION, "HOME_OF_MINE"):
        monkeypatch.setenv(name, "x")
    with without_allocation():
        assert [name for name in (*foreign, *THREADS) if name in os.environ] == []
        assert all(os.environ[name] == "x" for name in (*CONNECTION, "HOME_OF_MINE"))
    assert all(os.environ[name] == "x" for name in (*foreign, *THREADS))


def test_options_that_are_not_used_are_named_with_the_setting_to_write() -> None:
    shell = {"SBATCH_ACCOUNT": "abc@a100", "SBATCH_MAIL_USER": "x", "SLURM_ACCOUNT": "abc", "SLURM_JWT": "t", "A": "b"}
    assert unused_options(shell) == (
        "SBATCH_ACCOUNT is not used (write launch.account), SBATCH_MAIL_USER is not used (write launch.extra), "
        "SLURM_ACCOUNT is not used (write launch.account)"
    )
    assert unused_options({"SLURM_JWT": "t"}) == "" == unused_options(shell | {"SLURM_JOB_ID": "7"})


def test_a_run_is_on_one_cluster() -> None:
    for names in ("", "jz"):
        check_cluster({"SLURM_CLUSTERS": names})
    check_cluster({})
    for names in ("a,b", "all"):
        with pytest.raises(UserError, match=f"SLURM_CLUSTERS={names}: a run is on one cluster"):
            check_cluster({"SLURM_CLUSTERS": names})
