"""The status of a command's job: what its tasks wrote, joined with what Slurm says (of runs: launch.runs.status)."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from dual_hpc.errors import EnvironmentFault
from launch.cluster.job_record import SlurmJob
from launch.cluster.slurm import Scheduler, available
from launch.cluster.state import State, most_important
from launch.commands.job_dir import JobDir, TaskEvent

_EXIT_CODES: dict[int | None, State] = {0: State.FINISHED, 2: State.USER_ERROR}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CommandStatus:
    """One job in one row.

    Attributes:
        state: of the task that matters most: one that went wrong, else one that runs, else one that waits.
        tasks: the state of each.
        reasons: why each waits, as Slurm says; "" where it does not.
        exit_codes: of each task that has ended by itself.
    """

    name: str
    path: str
    command: str
    profile: str
    state: State
    tasks: list[State]
    reasons: list[str]
    exit_codes: list[int | None]
    job_ids: list[str]
    nodes: str


def command_statuses(jobs: Sequence[JobDir], scheduler: Scheduler) -> list[CommandStatus]:
    """The status of each job; Slurm is asked once for all of them. Where it does not answer, warn and do without."""
    descriptions = [job.description() for job in jobs]
    asked = [task for one in descriptions for task in one.job_ids]
    known: dict[str, SlurmJob] = {}
    answers = available()
    if asked and answers:
        try:
            known = scheduler.jobs(asked)
        except EnvironmentFault as error:
            log.warning("%s; the states are those the jobs wrote themselves", str(error)[:160])
            answers = False
    found = []
    for job, one in zip(jobs, descriptions, strict=True):
        events = job.events()
        slurm = [known.get(task) for task in one.job_ids]
        states = [task_state(events.get(number), seen, answers) for number, seen in enumerate(slurm)]
        ends = (events.get(number) for number in range(len(states)))
        found.append(
            CommandStatus(
                name=job.name,
                path=str(job.path),
                command=shlex.join(["dual-hpc", *one.words]),
                profile=one.profile,
                state=states[most_important(states)],
                tasks=states,
                reasons=[seen.reason if seen is not None else "" for seen in slurm],
                exit_codes=[event.exit_code if event is not None else None for event in ends],
                job_ids=one.job_ids,
                nodes=",".join(dict.fromkeys(seen.nodes for seen in slurm if seen is not None and seen.nodes)),
            )
        )
    return found


def task_state(event: TaskEvent | None, slurm: SlurmJob | None, slurm_answers: bool) -> State:
    """One word; what the task itself wrote of its end comes before the scheduler's word, unless it waits again.

    Args:
        slurm_answers: Slurm could be asked; then what it does not know is lost.
    """
    job = slurm.as_state() if slurm is not None else None
    if event is not None and event.event == "end" and job is not State.QUEUED:
        own = _EXIT_CODES.get(event.exit_code, State.FAILED)
        # A task whose process was killed for memory may call itself failed; accounting knows better.
        return State.OUT_OF_MEMORY if own is State.FAILED and job is State.OUT_OF_MEMORY else own
    if job is State.FINISHED:  # and the task itself has not written that it ended
        return State.FAILED
    if job is not None:
        return job
    if slurm_answers:
        return State.LOST
    return State.SUBMITTED if event is None else State.RUNNING
