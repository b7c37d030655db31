"""`STORE/jobs/NAME`: a job of another verb than training (`submit -- pack ...`), as one task or an array of them.

job.json       what was asked for, and the tasks' ids in the scheduler; written last
tasks.jsonl    when each task began and ended, and its exit code
logs/          task_0000.log: what the verb wrote
code.zip       the code it runs
"""

from __future__ import annotations

import itertools
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dual_hpc.config.schema import LaunchConfig
from dual_hpc.config.validation_errors import first_reason
from dual_hpc.errors import UserError
from dual_hpc.files.atomic import write_atomically
from dual_hpc.files.ownership import keep_others_out
from dual_hpc.files.regular_file import read_bytes
from dual_hpc.run import jsonl
from launch.records.readable import folders_with, partition

DESCRIPTION, TASKS = "job.json", "tasks.jsonl"


class JobDescription(BaseModel):
    """`job.json`.

    Attributes:
        words: the command after `dual-hpc`.
        job_ids: of its tasks, in their order.
        folder: where the command was submitted; its relative paths start there.
        profile: the cluster's name.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    words: list[str] = Field(min_length=1)
    job_ids: list[str] = Field(min_length=1)
    folder: str
    profile: str
    request: LaunchConfig
    code_version: str = "unknown"
    created: float = Field(default_factory=time.time)


class TaskEvent(BaseModel):
    """One line of `tasks.jsonl`; a task that Slurm starts again begins again."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    task: int
    event: Literal["start", "end"]
    exit_code: int | None = None
    host: str = Field(default_factory=socket.gethostname)
    time: float = Field(default_factory=time.time)


@dataclass(frozen=True)
class JobDir:
    """The folder of such a job."""

    path: Path

    @classmethod
    def make(cls, store: Path, verb: str) -> JobDir:
        """A new folder, `pack-1`, `pack-2` ...

        Raises:
            UserError: the store cannot be written.
        """
        jobs = store / "jobs"
        try:
            jobs.mkdir(parents=True, exist_ok=True)
            for number in itertools.count(1):
                path = jobs / f"{verb}-{number}"
                try:
                    path.mkdir()
                except FileExistsError:
                    continue
                (path / "logs").mkdir()
                for folder in (path, path / "logs"):
                    keep_others_out(folder)
                return cls(path)
        except OSError as error:
            raise UserError(f"store: {jobs} cannot be made: {error.strerror}; set DUAL_STORE or store=") from error
        raise AssertionError("numbers do not end")

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def log(self, task: int) -> Path:
        """What a task wrote; before it began, and where it could not begin, what Slurm has of it."""
        path = self.logs / f"task_{task:04d}.log"
        if path.exists():
            return path
        ids = self.description().job_ids
        slurm = self.logs / f"{ids[task]}_0_log.out" if 0 <= task < len(ids) else path
        return slurm if slurm.exists() else path

    def save(self, description: JobDescription) -> None:
        """Write `job.json`."""
        write_atomically(self.path / DESCRIPTION, description.model_dump_json(indent=2) + "\n")

    def description(self) -> JobDescription:
        """What was asked for.

        Raises:
            UserError: `job.json` is missing or damaged.
        """
        try:
            return JobDescription.model_validate_json(read_bytes(self.path / DESCRIPTION))
        except OSError as error:
            raise UserError(f"{self.path / DESCRIPTION} cannot be read: {error.strerror}") from error
        except ValidationError as error:
            reason = first_reason(error)
            raise UserError(f"{self.path / DESCRIPTION} is not a valid description of a job ({reason})") from error

    def record(self, event: TaskEvent) -> None:
        """Append to `tasks.jsonl`."""
        jsonl.append(self.path / TASKS, event)

    def events(self) -> dict[int, TaskEvent]:
        """The last event of each task that has begun."""
        return {event.task: event for event in jsonl.read(self.path / TASKS, TaskEvent)}


def find_job(name: str, store: Path) -> JobDir | None:
    """A job by its name in a store, or by its folder."""
    for path in (Path(name), store / "jobs" / name):
        if (path / DESCRIPTION).is_file():
            return JobDir(path.absolute())
    return None


def list_jobs(store: Path, broken: dict[Path, str] | None = None) -> list[JobDir]:
    """The jobs of a store whose description can be read, oldest first.

    Args:
        broken: takes the reason of each other job.
    """
    jobs = map(JobDir, folders_with(store / "jobs", DESCRIPTION))
    found, unreadable = partition(jobs, lambda job: job.description().created)
    if broken is not None:
        broken.update(unreadable)
    return [JobDir(path) for path in sorted(found, key=lambda path: (found[path], path.name))]
