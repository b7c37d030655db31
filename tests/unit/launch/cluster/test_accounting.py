"""What a job used, as sacct prints it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch.cluster.accounting import FIELDS, parse_accounting, size
from launch.cluster.job_record import SlurmJob

T = "2026-11-26T"
ROWS = "\n".join(
    [
        f"7|REQUEUED|0:0|n1|3600|billing=8,cpu=8,gres/gpu=2,mem=16G,node=2||{T}10:00:00|{T}10:30:00|2",
        f"7.0|CANCELLED|0:15|n[1-2]|3600|cpu=8|3G|{T}10:30:00|{T}10:30:00|2",
        f"7|FAILED|1:0|n[1-2]|1800|billing=8,cpu=8,gres/gpu=2,mem=16G,node=2||{T}11:40:00|{T}11:40:00|2",
        f"7.batch|FAILED|1:0|n1|1800|cpu=4|100M|{T}11:40:00|{T}11:40:00|1",
        f"7.0|FAILED|0:9|n[1-2]|1800|cpu=8|1.5G|{T}11:40:00|{T}11:40:00|2",
        f"8|PENDING|0:0|None assigned|0||| {T}11:40:00|Unknown|1",
    ]
)


def test_usage_is_of_all_starts_and_the_exit_codes_are_of_the_last() -> None:
    job = parse_accounting(ROWS)["7"]
    used = job.usage
    assert (used.seconds, used.waited, used.core_seconds, used.gpu_seconds) == (5400, 1800, 5400 * 8, 5400 * 2)
    assert (used.memory, used.peak_memory) == (8 * 2**30, 3 * 2**30)
    assert job.step_exits == ("1:0", "0:9") and job.earlier == ("REQUEUED",)
    assert str(used) == "3.00 GPU-hours, 12.00 core-hours, 0.50 h in the queue, peak memory 3.0 GB of 8.0 GB"
    assert str(parse_accounting(ROWS)["8"].usage) == ""


@pytest.mark.parametrize(
    ("text", "number"), [("512K", 2**19), ("1.5G", 1.5 * 2**30), ("4", 4), ("2Gn", 2**31), ("", 0), ("x", 0), ("-1", 0)]
)
def test_sizes_are_read_as_slurm_writes_them(text: str, number: float) -> None:
    assert size(text) == number


@given(st.text(), st.lists(st.text(alphabet=st.characters(exclude_characters="|\n")), max_size=12))
def test_no_line_of_a_site_ends_a_command(text: str, values: list[str]) -> None:
    parse_accounting(text)
    row = (["7", *values] + [""] * len(FIELDS))[: len(FIELDS)]
    assert all(isinstance(job, SlurmJob) for job in parse_accounting("|".join(row)).values())
