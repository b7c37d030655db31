"""Why a run is where it is, in one sentence, and what to do about it: pure, over everything that is known of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from launch.cluster.slurm import SlurmJob
from launch.records import failures, submissions
from launch.records.failures import Failure
from launch.runs.status import SILENT_SECONDS, RunStatus

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

RESUME = "`dual-hpc resume {name}` goes on from the last checkpoint"


@dataclass(frozen=True)
class Evidence:
    """What is known of a run.

    Attributes:
        step, total: how far it is.
        silent_seconds: since its journal grew last.
        past: accounting's view of its newest job, with the earlier incarnations.
        failures: what its ranks said since the newest start.
        hung: the ranks that the watchdog ended.
        last_words: the end of rank 0's log.
    """

    name: str
    status: RunStatus
    history: Sequence[submissions.Entry] = ()
    step: int = 0
    total: int | None = None
    silent_seconds: float = 0.0
    past: SlurmJob | None = None
    failures: Sequence[Failure] = ()
    hung: Sequence[str] = ()
    last_words: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """
    Attributes:
        cause: one of finished, queued, running, ending, hang, stopped, cancelled, out of memory, node failure,
            time limit, preempted, NaN, user error, failed, unknown.
        sentence: what happened.
        advice: what to do; empty when there is nothing to do.
    """

    cause: str
    sentence: str
    advice: str = field(default="")


def diagnose(e: Evidence) -> Diagnosis:
    """The first explanation that the evidence supports."""
    resume = RESUME.format(name=e.name)
    where = f"at step {e.step}" + (f" of {e.total}" if e.total else "")
    state, slurm = e.status.state, e.status.slurm
    if state == "finished":
        return Diagnosis("finished", f"finished {where}{_interruptions(e)}", f"`dual-hpc evaluate {e.name}` scores it")
    if state == "queued":
        told = slurm.reason if slurm is not None else ""
        reason = f" ({told})" if told else ""
        sentence = f"job {e.status.job_id} waits in the queue{reason}{_interruptions(e)}"
        again = f"`dual-hpc resume {e.name} launch.KEY=...`"
        return Diagnosis("queued", sentence, advice_of_waiting(told, e.name, e.status.job_id or "", again))
    if e.status.active:
        if state == "ending":
            return Diagnosis("ending", f"job {e.status.job_id} is ending, {where}")
        if e.silent_seconds > SILENT_SECONDS:
            minutes = f"{e.silent_seconds / 60:.0f} minutes"
            return Diagnosis(
                "hang", f"job {e.status.job_id} runs but has said nothing for {minutes} {where}", _look(e, resume)
            )
        return Diagnosis("running", f"job {e.status.job_id} runs, {where}{_interruptions(e)}")
    return _ended(e, where, resume)


def _ended(e: Evidence, where: str, resume: str) -> Diagnosis:
    last = e.history[-1] if e.history else None
    states = {e.past.state, *e.past.steps} if e.past else set()
    final = e.past.state if e.past else ""
    cause = failures.root_cause(e.failures)
    if any(entry.event == "cancel" for entry in e.history[-2:]):  # the job's own last word may come behind it
        return Diagnosis("cancelled", f"cancelled by {_hand(e.history, 'cancel')} {where}", resume)
    if last is not None and last.event == "stop" and last.cause == submissions.QUEUED:
        return Diagnosis("stopped", f"taken out of the queue by `dual-hpc stop` {where}", resume)
    if last is not None and e.status.state == "stopped" and (last.event == "stop" or last.cause == submissions.BY_USER):
        return Diagnosis("stopped", f"stopped by {_hand(e.history, 'stop')} {where}, and saved", resume)
    if cause is not None and cause.exit_code == 2:
        if "not finite" in cause.message:
            return Diagnosis(
                "NaN", f"the loss was not finite {where}: {cause.message}", "lower optim.lr, or look at these samples"
            )
        advice = "change that setting and submit it under another name=..., or resume where it is one of launch.*"
        return Diagnosis("user error", f"refused {where}: {cause.message}", advice)
    if "OUT_OF_MEMORY" in states or (cause is not None and _no_memory(cause)):
        return Diagnosis(
            "out of memory",
            f"a process ran out of memory {where}{_place(e, cause)}",
            "lower data.micro_batch or data.workers, or ask for more launch.cpus_per_rank (memory comes with cores); "
            f"then {resume}",
        )
    if final in ("NODE_FAIL", "BOOT_FAIL"):
        failed = "failed" if final == "NODE_FAIL" else "did not boot"
        nodes = e.past.nodes if e.past else ""
        return Diagnosis("node failure", f"a node of {nodes} {failed} {where}, and the job was not requeued", resume)
    if final in ("TIMEOUT", "DEADLINE") or (last is not None and (last.cause or "").startswith("time limit")):
        spent = f" after {submissions.spent(list(e.history))} continuations"
        return Diagnosis("time limit", f"the time limit ended it {where}{spent}", f"{resume} (launch.hours= for more)")
    if final == "PREEMPTED":
        return Diagnosis("preempted", f"a job of higher priority took its nodes {where}; not requeued", resume)
    if final == "CANCELLED":
        return Diagnosis("cancelled", f"cancelled by someone's scancel {where}", resume)
    if e.hung:
        who = ", ".join(e.hung[:4])
        sentence = f"it hung {where}: the watchdog ended {who}, whose logs show where each thread stood"
        return Diagnosis("hang", sentence, _look(e, resume))
    if cause is not None:
        return Diagnosis("failed", f"failed {where}: {cause.message}{_place(e, cause)}", _look(e, resume))
    said = f"; its last words: {e.last_words}" if e.last_words else ""
    if last is not None and last.cause == submissions.BY_USER:
        return Diagnosis("stopped", f"stopped by `dual-hpc stop` {where}, before it could save", resume)
    if last is not None and last.event == "leave":
        return Diagnosis("failed", f"stopped {where}: {last.cause}{said}", resume)
    if e.status.state == "gone":
        left = "cancelled while it waited, or ended long ago without a word"
        return Diagnosis("unknown", f"Slurm does not know job {e.status.job_id} (any more) {where}: {left}", resume)
    slurm = f"Slurm says {final.lower()} ({e.past.exit_code})" if e.past else "nothing is known of its job"
    return Diagnosis("unknown", f"{e.status.state} {where}: {slurm}{said}", _look(e, resume))


def _hand(entries: Sequence[submissions.Entry], event: str) -> str:
    """What the user did it with."""
    last = next((entry for entry in reversed(entries) if entry.event == event), None)
    return submissions.CTRL_C if last is not None and last.cause == submissions.CTRL_C else f"`dual-hpc {event}`"


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


def _interruptions(e: Evidence) -> str:
    """What befell it on the way."""
    told = [f"{entry.event} after {entry.cause}" for entry in e.history if entry.event in ("requeue", "chain")]
    told += [f"restarted by Slurm after {state.lower()}" for state in (e.past.earlier if e.past else ())]
    return f"; on its way: {', '.join(told)}" if told else ""


def _no_memory(cause: Failure) -> bool:
    return "OutOfMemory" in cause.message or "MemoryError" in cause.message or "out of memory" in cause.message


def _place(e: Evidence, cause: Failure | None) -> str:
    if cause is not None:
        return f" (rank {cause.rank} on {cause.host})"
    return f" (on {e.past.nodes})" if e.past and e.past.nodes else ""


def _look(e: Evidence, resume: str) -> str:
    return f"read `dual-hpc logs {e.name}`; {resume}"
