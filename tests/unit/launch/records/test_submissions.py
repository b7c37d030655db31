"""What a run's jobs and its users leave for each other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dual_hpc.config.schema import LaunchConfig
from dual_hpc.run import names
from launch.cluster.profiles import Profile
from launch.records import submissions
from launch.records.submissions import Entry, is_cancelled, last_request


def test_a_job_understands_what_a_newer_command_wrote(tmp_path: Path) -> None:
    entry = Entry(event="submit", job_id="7", request=LaunchConfig(nodes=2), profile=Profile(name="mine"))
    line = json.loads(entry.model_dump_json())
    for part in (line, line["request"], line["profile"]):
        part["a_setting_of_tomorrow"] = 3
    (tmp_path / names.SUBMISSIONS).write_text(json.dumps(line) + "\n")
    assert last_request(submissions.read(tmp_path)) == (LaunchConfig(nodes=2), Profile(name="mine"))


@pytest.mark.parametrize("damage", ["", "x", '{"event": "submit"', '{"event": "submit", "job_id": "7", "request": 3}'])
def test_a_torn_line_hides_no_other(tmp_path: Path, damage: str) -> None:
    submissions.record(tmp_path, Entry(event="submit", job_id="1"))
    with open(tmp_path / names.SUBMISSIONS, "a") as file:
        file.write(damage + "\n")
    submissions.record(tmp_path, Entry(event="chain", job_id="2"))
    assert submissions.jobs(submissions.read(tmp_path)) == ["1", "2"]


@pytest.mark.parametrize(
    ("events", "cancelled"),
    [
        ([], False),
        (["submit"], False),
        (["submit", "cancel"], True),
        (["submit", "cancel", "leave"], True),
        (["submit", "cancel", "submit"], False),
        (["submit", "cancel", "submit", "requeue", "leave"], False),
        (["submit", "stop", "cancel"], True),
    ],
)
def test_a_cancelled_run_is_one_until_it_is_submitted_again(events: list, cancelled: bool) -> None:
    assert is_cancelled([Entry(event=event, job_id="7") for event in events]) == cancelled
