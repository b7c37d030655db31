"""Why a command's job is in its state, in one sentence, and what to do about it."""

from __future__ import annotations

from launch.cluster.slurm import Scheduler
from launch.cluster.state import ACTIVE, State, most_important
from launch.commands.job_dir import JobDir
from launch.commands.status import CommandStatus, command_statuses
from launch.runs.diagnosis import advice_of_waiting
from launch.runs.evidence import last_line
from launch.runs.findings import Diagnosis


def diagnose_command(job: JobDir, scheduler: Scheduler) -> Diagnosis:
    """Explain the state of the task that matters most."""
    status = command_statuses([job], scheduler)[0]
    task = most_important(status.tasks)
    return explain(status, task, last_line(job.log(task)).removeprefix("dual-hpc: error: "))


def explain(status: CommandStatus, task: int, last_words: str) -> Diagnosis:
    """The sentence and the advice for one task of a job. Pure.

    Args:
        last_words: the last line of its log.
    """
    count, verb = len(status.tasks), status.command.split()[1]
    state, job_id, code = status.tasks[task], status.job_ids[task], status.exit_codes[task]
    which = f"task {task} of {count} (job {job_id})" if count > 1 else f"job {job_id}"
    quote = f"; last line of the log: {last_words}" if last_words else ""
    again = f"the same command continues where this one ended: {status.command}"
    if state is State.FINISHED:
        return Diagnosis(state, f"{verb} has finished" + (f" in all {count} tasks" if count > 1 else ""))
    if state in (*ACTIVE, State.SUBMITTED):
        done = f"; {status.tasks.count(State.FINISHED)} of {count} tasks have finished" if count > 1 else ""
        reason = status.reasons[task] if state is State.QUEUED else ""
        sentence = f"{which} is {state}" + (f" ({reason})" if reason else "") + done
        other = f"submit it again with other launch.* settings: {status.command}"
        return Diagnosis(state, sentence, advice_of_waiting(reason, status.name, job_id, other))
    if state is State.USER_ERROR:
        advice = f"change that, then submit it again: {status.command}"
        return Diagnosis(state, f"{which} was refused: {last_words}", advice)
    if state is State.FAILED:
        ended = f"exit code {code}" if code is not None else "no exit code recorded"
        look = f"`dual-hpc logs {status.name} --rank {task}` shows the whole log; {again}"
        return Diagnosis(state, f"{which} ended with {ended}{quote}", look)
    advice = {
        State.OUT_OF_MEMORY: f"ask for more launch.cpus_per_rank (memory comes with cores); then {again}",
        State.OUT_OF_TIME: f"{again} (launch.hours= for more, --tasks for several at once)",
    }.get(state, again)
    return Diagnosis(state, f"{which} ended: {state}{quote}", advice)
