"""Why a run is in its state, in one sentence, and what to do about it: pure, over everything that is known of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from launch.cluster.slurm import SlurmJob
from launch.cluster.state import State
from launch.records import failures, submissions
from launch.records.failures import Failure
from launch.runs.state import SILENT_SECONDS
from launch.runs.status import RunStatus

# Reasons of a waiting job that waiting does not remove.
_NEVER = frozenset(
    {
        "accountnotallowed",
        "badconstraints",
        "dependencyneversatisfied",
        "invalidaccount",
        "invalidqos",
        "partitionconfig",
        "partitionnodelimit",
        "partitiontimelimit",
        "qosnotallowed",
    }
)


@dataclass(frozen=True)
class Evidence:
    """What is known of a run.

    Attributes:
        saved: the newest job wrote a checkpoint when it was asked to stop.
        step, total: optimiser steps done, and of the whole run (None before training has written it).
        silent_seconds: since its journal grew last.
        past: accounting's view of its newest job, with the states before Slurm restarted it.
        failures: what its ranks wrote when they failed, since they were started last.
        hung: the ranks that the watchdog ended.
        last_words: the last line of rank 0's log.
    """

    name: str
    status: RunStatus
    history: Sequence[submissions.Entry] = ()
    saved: bool = False
    step: int = 0
    total: int | None = None
    silent_seconds: float = 0.0
    past: SlurmJob | None = None
    failures: Sequence[Failure] = ()
    hung: Sequence[str] = ()
    last_words: str = ""

    @property
    def at(self) -> str:
        """ "at step 12 of 40"."""
        return f"at step {self.step}" + (f" of {self.total}" if self.total else "")

    @property
    def resume(self) -> str:
        return f"`dual-hpc resume {self.name}` continues from the last checkpoint"

    @property
    def read_logs(self) -> str:
        return f"read `dual-hpc logs {self.name}`; {self.resume}"

    @property
    def root_cause(self) -> Failure | None:
        return failures.root_cause(self.failures)

    @property
    def quote(self) -> str:
        """The last line of the log, as the end of a sentence."""
        return f"; last line of the log: {self.last_words}" if self.last_words else ""


@dataclass(frozen=True)
class Diagnosis:
    """What `dual-hpc why` says.

    Attributes:
        state: the word that `runs` and `status` show as well.
        sentence: what happened.
        advice: what to do; empty when there is nothing to do.
        cause: finer than the state where more is known: "hang" of a job that runs or failed, "NaN" of a user error.
    """

    state: State
    sentence: str
    advice: str = ""
    cause: str = ""

    def as_json(self) -> dict[str, str]:
        """`cause` is the state's word where nothing finer is known."""
        cause = self.cause or self.state.value
        return {"state": self.state.value, "cause": cause, "sentence": self.sentence, "advice": self.advice}


def diagnose(e: Evidence) -> Diagnosis:
    """Explain the state of a run: one function for each state."""
    found = _EXPLAIN.get(e.status.state, _unexplained)(e)
    if not e.status.slurm_silent or found.state not in (State.SUBMITTED, State.RUNNING, State.SILENT):
        return found
    sentence = f"Slurm does not answer, so whether job {e.status.job_id} runs is not known; the run"
    sentence += f" last wrote {_ago(e.silent_seconds)} ago, {e.at}"
    return replace(found, sentence=sentence, advice="ask again when Slurm answers; `dual-hpc stop` works without it")


def advice_of_waiting(reason: str, name: str, job_id: str, again: str) -> str:
    """What to do where a job will not begin by waiting; "" where it will.

    Args:
        reason: as squeue spells it, with _ or with blanks.
        again: how it is submitted with other settings.
    """
    word = re.sub(r"\W|_", "", reason).lower()
    if "held" in word or word == "jobholdmaxrequeue":
        return f"it is held: `scontrol release {job_id}` lets it begin, `dual-hpc cancel {name}` ends it"
    never = word in _NEVER or re.search("perjob(limit)?$", word)
    return f"it will not begin as it is: `dual-hpc cancel {name}`, then {again}" if never else ""


def _ago(seconds: float) -> str:
    """ "40 s", "12 minutes", "3.5 hours"."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def _finished(e: Evidence) -> Diagnosis:
    return Diagnosis(State.FINISHED, f"finished {e.at}{_interruptions(e)}", f"`dual-hpc evaluate {e.name}` scores it")


def _not_submitted(e: Evidence) -> Diagnosis:
    return Diagnosis(State.NOT_SUBMITTED, "no job was ever submitted for it", f"`dual-hpc submit --run {e.name}`")


def _submitted(e: Evidence) -> Diagnosis:
    sentence = f"job {e.status.job_id} was submitted, and has not written anything yet"
    return Diagnosis(State.SUBMITTED, sentence, "" if e.status.active else e.read_logs)


def _queued(e: Evidence) -> Diagnosis:
    reason = e.status.slurm.reason if e.status.slurm is not None else ""
    sentence = f"job {e.status.job_id} waits in the queue" + (f" ({reason})" if reason else "") + _interruptions(e)
    again = f"`dual-hpc resume {e.name} launch.KEY=...`"
    return Diagnosis(State.QUEUED, sentence, advice_of_waiting(reason, e.name, e.status.job_id or "", again))


def _running(e: Evidence) -> Diagnosis:
    if e.silent_seconds > SILENT_SECONDS:
        minutes = f"{e.silent_seconds / 60:.0f} minutes"
        sentence = f"job {e.status.job_id} runs but has written nothing for {minutes} {e.at}"
        return Diagnosis(State.RUNNING, sentence, e.read_logs, "hang")
    return Diagnosis(State.RUNNING, f"job {e.status.job_id} runs, {e.at}{_interruptions(e)}")


def _suspended(e: Evidence) -> Diagnosis:
    return Diagnosis(State.SUSPENDED, f"Slurm has suspended job {e.status.job_id}, {e.at}")


def _ending(e: Evidence) -> Diagnosis:
    return Diagnosis(State.ENDING, f"job {e.status.job_id} is ending, {e.at}")


def _cancelled(e: Evidence) -> Diagnosis:
    by = _command_used(e.history, "cancel") if submissions.is_cancelled(list(e.history)) else "someone's scancel"
    return Diagnosis(State.CANCELLED, f"cancelled by {by} {e.at}", e.resume)


def _stopped(e: Evidence) -> Diagnosis:
    last = e.history[-1] if e.history else None
    asked = any(entry.event == "stop" or entry.cause == submissions.BY_USER for entry in e.history)
    by = _command_used(e.history, "stop") if asked else "a signal"
    if last is not None and last.event == "stop" and last.cause == submissions.QUEUED:
        return Diagnosis(State.STOPPED, f"removed from the queue by {by} {e.at}", e.resume)
    saved = f"{e.at}, and saved" if e.saved else f"{e.at}, before it could save"
    return Diagnosis(State.STOPPED, f"stopped by {by} {saved}", e.resume)


def _user_error(e: Evidence) -> Diagnosis:
    message = e.root_cause.message if e.root_cause is not None else ""
    if "not finite" in message:
        sentence = f"the loss was not finite {e.at}: {message}"
        return Diagnosis(State.USER_ERROR, sentence, "lower optim.lr, or look at these samples", "NaN")
    advice = "change that setting and submit it under another name=..., or resume where it is one of launch.*"
    return Diagnosis(State.USER_ERROR, f"refused {e.at}: {message}", advice)


def _out_of_memory(e: Evidence) -> Diagnosis:
    advice = (
        "lower data.micro_batch or data.workers, or ask for more launch.cpus_per_rank (memory comes with cores); "
        f"then {e.resume}"
    )
    return Diagnosis(State.OUT_OF_MEMORY, f"a process ran out of memory {e.at}{_place(e)}", advice)


def _node_failure(e: Evidence) -> Diagnosis:
    failed = "did not boot" if e.past and e.past.state == "BOOT_FAIL" else "failed"
    of = f" of {e.past.nodes}" if e.past and e.past.nodes else ""
    return Diagnosis(State.NODE_FAILURE, f"a node{of} {failed} {e.at}, and the job was not requeued", e.resume)


def _out_of_time(e: Evidence) -> Diagnosis:
    spent = submissions.continuations_used(list(e.history))
    sentence = f"the time limit ended it {e.at} after {spent} continuations"
    return Diagnosis(State.OUT_OF_TIME, sentence, f"{e.resume} (launch.hours= for more)")


def _preempted(e: Evidence) -> Diagnosis:
    return Diagnosis(State.PREEMPTED, f"a job of higher priority took its nodes {e.at}; not requeued", e.resume)


def _failed(e: Evidence) -> Diagnosis:
    """It hung, or a rank said why it failed, or a job said why it does not continue, or only Slurm says anything."""
    last = e.history[-1] if e.history else None
    if e.hung:
        sentence = f"it hung {e.at}: the watchdog ended {', '.join(e.hung[:4])}; their logs show where each thread was"
        return Diagnosis(State.FAILED, sentence, e.read_logs, "hang")
    if e.root_cause is not None:
        return Diagnosis(State.FAILED, f"failed {e.at}: {e.root_cause.message}{_place(e)}", e.read_logs)
    if last is not None and last.event == "leave":
        return Diagnosis(State.FAILED, f"ended {e.at}: {last.cause}{e.quote}", e.resume)
    return _unexplained(e)


def _silent(e: Evidence) -> Diagnosis:
    sentence = f"no job of it is known, and it has written nothing for {e.silent_seconds / 60:.0f} minutes {e.at}"
    return Diagnosis(State.SILENT, f"{sentence}{e.quote}", e.read_logs)


def _lost(e: Evidence) -> Diagnosis:
    how = "cancelled while it waited, or ended long ago without a message"
    return Diagnosis(State.LOST, f"Slurm does not know job {e.status.job_id} (any more) {e.at}: {how}", e.resume)


def _unexplained(e: Evidence) -> Diagnosis:
    slurm = f"Slurm says {e.past.state.lower()} ({e.past.exit_code})" if e.past else "nothing is known of its job"
    return Diagnosis(e.status.state, f"{e.status.state} {e.at}: {slurm}{e.quote}", e.read_logs)


_EXPLAIN: dict[State, Callable[[Evidence], Diagnosis]] = {
    State.NOT_SUBMITTED: _not_submitted,
    State.SUBMITTED: _submitted,
    State.QUEUED: _queued,
    State.RUNNING: _running,
    State.SUSPENDED: _suspended,
    State.ENDING: _ending,
    State.FINISHED: _finished,
    State.STOPPED: _stopped,
    State.CANCELLED: _cancelled,
    State.FAILED: _failed,
    State.USER_ERROR: _user_error,
    State.OUT_OF_MEMORY: _out_of_memory,
    State.OUT_OF_TIME: _out_of_time,
    State.NODE_FAILURE: _node_failure,
    State.PREEMPTED: _preempted,
    State.SILENT: _silent,
    State.LOST: _lost,
}


def _command_used(history: Sequence[submissions.Entry], event: str) -> str:
    """What the user stopped or cancelled it with."""
    last = next((entry for entry in reversed(history) if entry.event == event), None)
    return submissions.CTRL_C if last is not None and last.cause == submissions.CTRL_C else f"`dual-hpc {event}`"


def _interruptions(e: Evidence) -> str:
    """Requeues, chained jobs and restarts so far."""
    before = [f"{entry.event} after {entry.cause}" for entry in e.history if entry.event in ("requeue", "chain")]
    before += [f"restarted by Slurm after {state.lower()}" for state in (e.past.earlier if e.past else ())]
    return f"; so far: {', '.join(before)}" if before else ""


def _place(e: Evidence) -> str:
    """The rank and its host, else the job's nodes."""
    if e.root_cause is not None:
        return f" (rank {e.root_cause.rank} on {e.root_cause.host})"
    return f" (on {e.past.nodes})" if e.past and e.past.nodes else ""
