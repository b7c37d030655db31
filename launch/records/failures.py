"""`logs/failures.jsonl`: the error of each failing rank, and which of them is the root cause."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dual_hpc.run import jsonl, names
from launch.records import reserved

LOST_PEER = "the connection to another rank was lost"  # how the message of a failure begins that others have caused

_SHORT = 800  # characters of a message that fit into reserved room


class Failure(BaseModel):
    """A rank's failure; that of a killed rank is recorded by its controller.

    Attributes:
        bad_nodes: those that the next job avoids.
        installation: what is installed fits no node, so that no further job is submitted.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    job_id: str
    rank: int
    host: str
    message: str
    exit_code: int
    killed: bool = False
    restart_count: int = Field(0, alias="incarnation")  # keeps its written name (contract 11)
    bad_nodes: list[str] = Field(default_factory=list)
    installation: bool = False
    log: str
    time: float = Field(default_factory=time.time)


def record(logs: Path, failure: Failure) -> None:
    """Append one failure; on a full disk, write it where the job has reserved room.

    Raises:
        OSError: neither is possible.
    """
    try:
        jsonl.append(logs / names.FAILURES, failure)
    except OSError:
        short = failure.model_copy(update={"message": failure.message[:_SHORT]})
        reserved.write(logs, failure.rank, short)


def read(logs: Path, job_id: str) -> list[Failure]:
    """The failures of one job, in the order written."""
    found = jsonl.read(logs / names.FAILURES, Failure)
    for slot in reserved.read(logs):
        with contextlib.suppress(ValidationError):
            found.append(Failure.model_validate_json(slot))
    return [failure for failure in found if failure.job_id == job_id]


def root_cause(failures: Iterable[Failure]) -> Failure | None:
    """The failure that caused the others.

    What is installed comes first, then a bad node, then a killed rank: its peers see a broken connection and report it
    before the controller has noticed. Then a user's mistake (exit code 2), then the earliest that is not itself a lost
    connection.
    """
    return min(
        failures,
        key=lambda f: (
            not f.installation,
            not f.bad_nodes,
            not f.killed,
            f.exit_code != 2,
            f.message.startswith(LOST_PEER),
            f.time,
            f.rank,
        ),
        default=None,
    )
