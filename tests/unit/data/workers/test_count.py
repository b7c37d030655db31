"""How many workers `auto` means."""

from __future__ import annotations

import os

import pytest

from dual_hpc.data.workers.count import CORES, cores_of_rank, worker_count


@pytest.mark.parametrize(
    ("cores", "features", "count"),
    [(1, False, 1), (2, False, 1), (8, False, 7), (24, False, 16), (1, True, 1), (3, True, 2), (24, True, 4)],
)
def test_auto_leaves_one_core_to_the_training(cores: int, features: bool, count: int) -> None:
    assert worker_count("auto", cores, features) == count


@pytest.mark.parametrize("workers", [0, 1, 40])
def test_a_number_is_what_it_says(workers: int) -> None:
    assert worker_count(workers, 8, False) == workers


def test_the_cores_are_those_that_the_job_names_or_those_that_this_process_may_use() -> None:
    mine = len(os.sched_getaffinity(0))
    assert cores_of_rank({CORES: "12"}) == 12
    assert [cores_of_rank(environ) for environ in ({}, {CORES: ""}, {CORES: "many"}, {CORES: "0"})] == [mine] * 4
