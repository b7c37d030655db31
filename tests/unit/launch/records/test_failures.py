from __future__ import annotations

from pathlib import Path

from dual_hpc.run.names import FAILURES
from launch.records.failures import LOST_PEER, Failure, read, record, root_cause


def failure(rank: int, time: float, exit_code: int = 1, killed: bool = False, job_id: str = "7") -> Failure:
    return Failure(
        job_id=job_id, rank=rank, host="n1", message="x", exit_code=exit_code, killed=killed, log="l", time=time
    )


def test_a_killed_rank_is_the_cause_although_its_peers_spoke_first() -> None:
    cause = root_cause([failure(0, 1.0), failure(1, 2.0, killed=True)])
    assert cause is not None and cause.rank == 1


def test_a_users_mistake_goes_before_what_follows_from_it() -> None:
    cause = root_cause([failure(0, 1.0), failure(1, 2.0, exit_code=2)])
    assert cause is not None and cause.rank == 1


def test_otherwise_the_first_to_fail_is_the_cause() -> None:
    cause = root_cause([failure(0, 2.0), failure(3, 1.0)])
    assert cause is not None and cause.rank == 3
    assert root_cause([]) is None


def test_records_of_other_jobs_and_torn_lines_are_left_out(tmp_path: Path) -> None:
    assert read(tmp_path, "7") == []
    record(tmp_path, failure(0, 1.0, job_id="6"))
    record(tmp_path, failure(1, 2.0))
    with open(tmp_path / FAILURES, "a") as file:
        file.write('{"job_id": "7", "ra')
    assert [found.rank for found in read(tmp_path, "7")] == [1]


def test_the_restart_count_keeps_its_written_name(tmp_path: Path) -> None:
    """Code of earlier and later versions works on the same run (contract 11)."""
    failure = Failure(job_id="7", rank=0, host="n1", message="x", exit_code=1, restart_count=2, log="log")
    record(tmp_path, failure)
    text = (tmp_path / FAILURES).read_text()
    assert '"incarnation":2' in text and "restart_count" not in text
    assert read(tmp_path, "7") == [failure]


def test_a_lost_connection_is_not_the_cause_where_anything_else_failed_though_it_was_noticed_first() -> None:
    lost = failure(0, 1.0).model_copy(update={"message": f"{LOST_PEER}: it has ended"})
    cause = root_cause([lost, failure(1, 2.0)])
    assert cause is not None and cause.rank == 1
    assert root_cause([lost]) is lost
