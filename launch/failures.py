"""`logs/failures.jsonl`: what each failing rank said last, and which of them was the cause."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

NAME = "failures.jsonl"


class Failure(BaseModel):
    """One rank's end. A rank that was killed could not speak: its record is written by its controller."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    job_id: str
    rank: int
    host: str
    message: str
    exit_code: int
    killed: bool = False
    log: str
    time: float = Field(default_factory=time.time)


def record(logs: Path, failure: Failure) -> None:
    """Append one line with one write, so that ranks do not tear each other's."""
    line = failure.model_dump_json() + "\n"
    file = os.open(logs / NAME, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def read(logs: Path, job_id: str) -> list[Failure]:
    """The failures of one job, in the order written; torn lines are left out."""
    try:
        lines = (logs / NAME).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            failure = Failure.model_validate_json(line)
        except ValidationError:
            continue
        if failure.job_id == job_id:
            found.append(failure)
    return found


def root_cause(failures: Iterable[Failure]) -> Failure | None:
    """The failure the others follow from.

    A killed rank comes first: its peers see a broken connection, and say so before the controller has noticed. Then
    a mistake of the user (exit code 2), then whoever failed first.
    """
    return min(failures, key=lambda f: (not f.killed, f.exit_code != 2, f.time, f.rank), default=None)
