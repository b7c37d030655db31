"""What a job knows about itself from its environment."""

from __future__ import annotations

import pytest

from dual_hpc.run.this_job import allocated_at


@pytest.mark.parametrize(
    ("environment", "moment"),
    [
        ({}, None),
        ({"SLURM_JOB_START_TIME": "1700000000"}, 1700000000.0),
        ({"SLURM_JOB_START_TIME": "1700000000", "DUAL_ALLOCATED": "1700000009"}, 1700000000.0),
        ({"DUAL_ALLOCATED": "1700000009"}, 1700000009.0),  # Slurm 22.05 does not say it
        ({"SLURM_JOB_START_TIME": "", "DUAL_ALLOCATED": "1700000009"}, 1700000009.0),
        ({"SLURM_JOB_START_TIME": "0", "DUAL_ALLOCATED": "soon"}, None),
    ],
)
def test_a_job_knows_when_it_was_given_its_nodes(environment: dict[str, str], moment: float | None) -> None:
    assert allocated_at(environment) == moment
