"""The status of a command's job: what its tasks wrote, joined with what Slurm says (of runs: launch.runs.status)."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from dual_hpc.errors import EnvironmentFault
from launch.cluster.slurm import ACTIVE, Scheduler, SlurmJob, available
from launch.commands.job_dir import JobDir, TaskEvent
from launch.runs.diagnosis import Diagnosis, advice_of_waiting
from launch.runs.evidence import last_line

FINISHED, FAILED = "finished", "failed"
UNDER_WAY = frozenset(ACTIVE.values())
_SLURM = {
    **ACTIVE,
    "CANCELLED": "cancelled",
    "PREEMPTED": "preempted",
    "TIMEOUT": "out of time",
    "OUT_OF_MEMORY": "out of memory",
    "NODE_FAIL": "node failure",
    "BOOT_FAIL": "node failure",
    "DEADLINE": "out of time",
}

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
    state: str
    tasks: list[str]
    reasons: list[str]
    exit_codes: list[int | None]
    job_ids: list[str]
    nodes: str


def command_statuses(jobs: Sequence[JobDir], scheduler: Scheduler) -> list[CommandStatus]:
    """Where each job stands; Slurm is asked once for all of them, and where it does not answer that costs a warning."""
    told = [job.description() for job in jobs]
    asked = [task for one in told for task in one.job_ids]
    known: dict[str, SlurmJob] = {}
    answers = available()
    if asked and answers:
        try:
            known = scheduler.jobs(asked)
        except EnvironmentFault as error:
            log.warning("Slurm does not answer; the states are those the jobs wrote themselves (%s)", str(error)[:120])
            answers = False
    found = []
    for job, one in zip(jobs, told, strict=True):
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
                state=job_state(states),
                tasks=states,
                reasons=[seen.reason if seen is not None else "" for seen in slurm],
                exit_codes=[event.exit_code if event is not None else None for event in ends],
                job_ids=one.job_ids,
                nodes=",".join(dict.fromkeys(seen.nodes for seen in slurm if seen is not None and seen.nodes)),
            )
        )
    return found


def task_state(event: TaskEvent | None, slurm: SlurmJob | None, answers: bool) -> str:
    """One word; what the task itself says of its end comes before the scheduler's word, unless it waits again.

    Args:
        answers: Slurm could be asked; then what it does not know is gone.
    """
    if event is not None and event.event == "end" and (slurm is None or ACTIVE.get(slurm.state) != "queued"):
        return FINISHED if event.exit_code == 0 else FAILED
    if slurm is not None:
        return _SLURM.get(slurm.state, FAILED)
    if answers:
        return "gone"
    return "submitted" if event is None else "running"


def job_state(states: Sequence[str]) -> str:
    """The state of a job from those of its tasks."""
    wrong = [state for state in states if state not in (*UNDER_WAY, FINISHED, "submitted")]
    for state in (*wrong, "running", "suspended", "ending", "queued", "submitted"):
        if state in states:
            return state
    return FINISHED


def diagnose_command(job: JobDir, scheduler: Scheduler) -> Diagnosis:
    """What became of a job, in one sentence, and what to do."""
    seen = command_statuses([job], scheduler)[0]
    verb, count = job.description().words[0], len(seen.tasks)
    if seen.state == FINISHED:
        return Diagnosis(FINISHED, f"{verb} has finished" + (f" in all {count} tasks" if count > 1 else ""))
    task = seen.tasks.index(seen.state)
    which = f"task {task} of {count} (job {seen.job_ids[task]})" if count > 1 else f"job {seen.job_ids[task]}"
    if seen.state in (*UNDER_WAY, "submitted"):
        done = f"; {seen.tasks.count(FINISHED)} of {count} tasks have finished" if count > 1 else ""
        told = seen.reasons[task] if seen.state == "queued" else ""
        sentence = f"{which} is {seen.state}" + (f" ({told})" if told else "") + done
        again = f"submit it again with other launch.* settings: {seen.command}"
        return Diagnosis(seen.state, sentence, advice_of_waiting(told, job.name, seen.job_ids[task], again))
    state = _memory(seen.state, scheduler, seen.job_ids[task])
    said = last_line(job.log(task)).removeprefix("dual-hpc: error: ")
    words = f"; its last words: {said}" if said else ""
    code = seen.exit_codes[task]
    again = f"the same command goes on where it was: {seen.command}"
    if state == FAILED and code == 2:
        return Diagnosis(
            "user error", f"{which} was refused: {said}", f"change that, then submit it again: {seen.command}"
        )
    if state == FAILED:
        ended = f"exit code {code}" if code is not None else "no word of its own"
        look = f"`dual-hpc logs {job.name} --rank {task}` shows the whole log; {again}"
        return Diagnosis(FAILED, f"{which} ended with {ended}{words}", look)
    advice = {
        "out of memory": f"ask for more launch.cpus_per_rank (memory comes with cores); then {again}",
        "out of time": f"{again} (launch.hours= for more, --tasks for several at once)",
    }
    return Diagnosis(state, f"{which} ended: {state}{words}", advice.get(state, again))


def _memory(state: str, scheduler: Scheduler, job_id: str) -> str:
    """A task whose process was killed for memory may call itself failed; accounting knows better."""
    if state != FAILED or not available():
        return state
    past = scheduler.accounts([job_id]).get(job_id)
    return "out of memory" if past is not None and "OUT_OF_MEMORY" in (past.state, *past.steps) else state
