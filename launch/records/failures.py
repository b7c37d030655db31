"""`logs/failures.jsonl`: what each failing rank said last, and which of them was the cause."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from dual_hpc.run import jsonl, names


class Failure(BaseModel):
    """One rank's end. A rank that was killed could not speak: its record is written by its controller."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    job_id: str
    rank: int
    host: str
    message: str
    exit_code: int
    killed: bool = False
    incarnation: int = 0
    bad_nodes: list[str] = Field(default_factory=list)
    log: str
    time: float = Field(default_factory=time.time)


def record(logs: Path, failure: Failure) -> None:
    """Append one failure."""
    jsonl.append(logs / names.FAILURES, failure)


def read(logs: Path, job_id: str) -> list[Failure]:
    """The failures of one job, in the order written."""
    return [failure for failure in jsonl.read(logs / names.FAILURES, Failure) if failure.job_id == job_id]


def root_cause(failures: Iterable[Failure]) -> Failure | None:
    """The failure the others follow from.

    A killed rank comes first: its peers see a broken connection, and say so before the controller has noticed. Then
    a mistake of the user (exit code 2), then whoever failed first.
    """
    return min(failures, key=lambda f: (not f.bad_nodes, not f.killed, f.exit_code != 2, f.time, f.rank), default=None)
