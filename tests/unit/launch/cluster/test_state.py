"""Slurm's words and what they mean, and which of several states says most."""

from __future__ import annotations

import json

import pytest

from launch.cluster.state import ACTIVE, SLURM, State, from_slurm, most_important

# `man squeue`, JOB STATE CODES.
DOCUMENTED = """
BOOT_FAIL CANCELLED COMPLETED CONFIGURING COMPLETING DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PENDING PREEMPTED RUNNING
RESV_DEL_HOLD REQUEUE_FED REQUEUE_HOLD REQUEUED RESIZING REVOKED SIGNALING SPECIAL_EXIT STAGE_OUT STOPPED SUSPENDED
TIMEOUT
"""


@pytest.mark.parametrize("word", DOCUMENTED.split())
def test_every_word_of_slurm_has_a_state(word: str) -> None:
    assert word in SLURM


@pytest.mark.parametrize("word", ["", "ON_FIRE", "completed"])
def test_a_word_that_slurm_may_learn_tomorrow_is_unknown_and_not_active(word: str) -> None:
    assert from_slurm(word) is State.UNKNOWN and State.UNKNOWN not in ACTIVE


def test_a_step_that_ran_out_of_memory_explains_a_failed_job_and_no_other() -> None:
    assert from_slurm("FAILED", ["FAILED", "OUT_OF_MEMORY"]) is State.OUT_OF_MEMORY
    assert from_slurm("FAILED", ["FAILED"]) is State.FAILED
    assert from_slurm("TIMEOUT", ["OUT_OF_MEMORY"]) is State.OUT_OF_TIME


@pytest.mark.parametrize(
    ("states", "word"),
    [
        (["finished", "finished"], "finished"),
        (["finished", "queued"], "queued"),
        (["queued", "running"], "running"),
        (["running", "failed", "finished"], "failed"),
        (["cancelled", "out of memory"], "out of memory"),
        (["submitted", "submitted"], "submitted"),
        (["lost", "finished"], "lost"),
        (["stopped", "queued"], "stopped"),
    ],
)
def test_what_went_wrong_comes_before_what_runs_and_that_before_what_waits(states: list[str], word: str) -> None:
    found = [State(state) for state in states]
    assert found[most_important(found)] == word


def test_every_state_has_its_place_among_several() -> None:
    for state in State:
        assert most_important([state]) == 0


def test_a_state_is_written_as_its_word() -> None:
    assert f"{State.OUT_OF_TIME}" == str(State.OUT_OF_TIME) == "out of time"
    assert f"{State.QUEUED:>8}" == "  queued" and json.dumps([State.QUEUED]) == '["queued"]'
