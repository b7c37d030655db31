"""Why a run is in its state, in one sentence, and what to do about it: pure, over everything that is known of it."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from dual_hpc.errors import one_line
from launch.cluster.accounting import seconds_of
from launch.cluster.job_record import Usage, memory_text
from launch.cluster.state import State
from launch.records import submissions
from launch.runs.failed import unexplained, why_failed
from launch.runs.findings import Diagnosis, Evidence, place
from launch.runs.state import SILENT_SECONDS, is_gpu_out_of_memory

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


def diagnose(e: Evidence) -> Diagnosis:
    """Explain the state of a run: one function for each state."""
    found = _EXPLAIN.get(e.status.state, unexplained)(e)
    if not e.status.slurm_silent or found.state not in (State.SUBMITTED, State.RUNNING, State.SILENT):
        return found
    sentence = f"Slurm does not answer, so whether job {e.status.job_id} runs is not known; the run"
    sentence += f" last wrote {_duration(e.silent_seconds)} ago, {e.at}"
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


def _moment(moment: float, now: float) -> str:
    """ "at 14:05, in 2.2 hours"; of another day with the date."""
    there, here = time.localtime(moment), time.localtime(now)
    form = "%H:%M" if there[:3] == here[:3] else "%Y-%m-%d %H:%M"
    return f"at {time.strftime(form, there)}" + (f", in {_duration(moment - now)}" if moment > now else "")


def _duration(seconds: float) -> str:
    """ "40 s", "12 minutes", "3.5 hours"."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def _finished(e: Evidence) -> Diagnosis:
    return Diagnosis(
        State.FINISHED, f"finished {e.at}{_interruptions(e)}{_goodput(e)}", f"`dual-hpc evaluate {e.name}` scores it"
    )


def _not_submitted(e: Evidence) -> Diagnosis:
    return Diagnosis(State.NOT_SUBMITTED, "no job was ever submitted for it", f"`dual-hpc submit --run {e.name}`")


def _submitted(e: Evidence) -> Diagnosis:
    sentence = f"job {e.status.job_id} was submitted, and has not written anything yet"
    return Diagnosis(State.SUBMITTED, sentence, "" if e.status.active else e.read_logs)


def _queued(e: Evidence) -> Diagnosis:
    reason = e.status.slurm.reason if e.status.slurm is not None else ""
    start = seconds_of(e.status.slurm.start) if e.status.slurm is not None else None
    advice = advice_of_waiting(reason, e.name, e.status.job_id or "", f"`dual-hpc resume {e.name} launch.KEY=...`")
    expected = f"; Slurm expects it to begin {_moment(start, e.now)}" if start is not None and not advice else ""
    sentence = f"job {e.status.job_id} waits in the queue" + (f" ({reason})" if reason else "")
    sentence += expected + _interruptions(e)
    return Diagnosis(State.QUEUED, sentence, advice)


def _running(e: Evidence) -> Diagnosis:
    if e.silent_seconds > SILENT_SECONDS:
        sentence = f"job {e.status.job_id} runs but has written nothing for {_duration(e.silent_seconds)} {e.at}"
        return Diagnosis(State.RUNNING, sentence, e.read_logs, "hang")
    slow = f"; {e.bottleneck}" if e.bottleneck else ""
    return Diagnosis(State.RUNNING, f"job {e.status.job_id} runs, {e.at}{_interruptions(e)}{slow}{_goodput(e)}")


def _goodput(e: Evidence) -> str:
    return f"; {e.goodput}" if e.goodput else ""


def _suspended(e: Evidence) -> Diagnosis:
    return Diagnosis(State.SUSPENDED, f"Slurm has suspended job {e.status.job_id}, {e.at}")


def _ending(e: Evidence) -> Diagnosis:
    return Diagnosis(State.ENDING, f"job {e.status.job_id} is ending, {e.at}")


def _cancelled(e: Evidence) -> Diagnosis:
    by = _command_used(e.history, "cancel") if submissions.is_cancelled(list(e.history)) else "someone's scancel"
    return Diagnosis(State.CANCELLED, f"cancelled by {by} {e.at}", e.resume)


def _stopped(e: Evidence) -> Diagnosis:
    last = e.history[-1] if e.history else None
    since = submissions.since_submit(e.history)
    asked = any(entry.event == "stop" or entry.cause == submissions.BY_USER for entry in since)
    by = _command_used(e.history, "stop") if asked else "a signal"
    if last is not None and last.event == "stop" and last.cause == submissions.QUEUED:
        return Diagnosis(State.STOPPED, f"removed from the queue by {by} {e.at}", e.resume)
    saved = f"{e.at}, and saved" if e.saved or _is_saved(e) else f"{e.at}, before it could save"
    # A job that wanted to go on: Slurm refused it, or did not answer in time.
    refused = last is not None and last.event == "leave" and (last.cause or "").startswith(submissions.REFUSED)
    why = f"; {last.cause}" if refused and last is not None else ""
    return Diagnosis(State.STOPPED, f"stopped by {by} {saved}{why}", e.resume)


def _is_saved(e: Evidence) -> bool:
    """True where the disk has the step that the journal ends with, whatever the job managed to write about it."""
    return e.checkpoint is not None and e.checkpoint >= e.step


def _user_error(e: Evidence) -> Diagnosis:
    message = e.root_cause.message if e.root_cause is not None else ""
    if "not finite" in message:
        sentence = f"the loss was not finite {e.at}: {one_line(message, 240)}"
        return Diagnosis(State.USER_ERROR, sentence, "lower optim.lr, or look at these samples", "NaN")
    advice = "change that setting and submit it under another name=..., or resume where it is one of launch.*"
    return Diagnosis(State.USER_ERROR, f"refused {e.at}: {message}", advice)


def _out_of_memory(e: Evidence) -> Diagnosis:
    if e.root_cause is not None and is_gpu_out_of_memory(e.root_cause):
        sentence = f"a GPU ran out of memory {e.at}{place(e)}: {e.root_cause.message[:300]}"
        advice = (
            "submit it under another name=... with a lower data.micro_batch (the global batch stays), a higher "
            "training.zero_stage or a lower data.max_seconds; or continue on more GPUs: launch.memory is the node's. "
            f"{e.resume}"
        )
        return Diagnosis(State.OUT_OF_MEMORY, sentence, advice)
    used = e.past.usage if e.past is not None else Usage()
    peak = f"; its largest process used {memory_text(used.peak_memory)}" if used.peak_memory else ""
    limit = f"; the job had {memory_text(used.memory)} per node" if used.memory else ""
    advice = (
        "lower data.micro_batch or data.workers, or ask for more: launch.memory, or launch.cpus_per_rank where memory "
        f"comes with cores; then {e.resume}"
    )
    return Diagnosis(State.OUT_OF_MEMORY, f"a process ran out of memory {e.at}{place(e)}{limit}{peak}", advice)


def _node_failure(e: Evidence) -> Diagnosis:
    failed = "did not boot" if e.past and e.past.state == "BOOT_FAIL" else "failed"
    of = f" of {e.past.nodes}" if e.past and e.past.nodes else ""
    return Diagnosis(State.NODE_FAILURE, f"a node{of} {failed} {e.at}, and the job was not requeued", e.resume)


def _out_of_time(e: Evidence) -> Diagnosis:
    spent = submissions.continuations_used(list(e.history))
    each = e.allocations.sentence()
    sentence = f"the time limit ended it {e.at} after {spent} continuations" + (f"; {each}" if each else "")
    more = "ask for more launch.hours=" if e.allocations.too_short else "launch.hours= for more"
    return Diagnosis(State.OUT_OF_TIME, sentence, f"{e.resume} ({more})")


def _preempted(e: Evidence) -> Diagnosis:
    return Diagnosis(State.PREEMPTED, f"a job of higher priority took its nodes {e.at}; not requeued", e.resume)


def _silent(e: Evidence) -> Diagnosis:
    sentence = f"no job of it is known, and it has written nothing for {_duration(e.silent_seconds)} {e.at}"
    return Diagnosis(State.SILENT, f"{sentence}{e.quote}", e.read_logs)


def _lost(e: Evidence) -> Diagnosis:
    how = "cancelled while it waited, or ended long ago without a message"
    return Diagnosis(State.LOST, f"Slurm does not know job {e.status.job_id} (any more) {e.at}: {how}", e.resume)


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
    State.FAILED: why_failed,
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
    """How its jobs went on since the user submitted it last: each interruption once, equal ones counted."""
    own = [entry for entry in submissions.since_submit(e.history) if entry.event in ("requeue", "chain")]
    # Accounting shows our own requeues as well.
    restarts = list(e.past.earlier) if e.past is not None else []
    for entry in own:
        for state in ("PREEMPTED", "REQUEUED") if entry.cause == "preempted" else ("REQUEUED",):
            if entry.event == "requeue" and entry.job_id == e.status.job_id and state in restarts:
                restarts.remove(state)
                break
    told = Counter(_continuation(entry, own[:number]) for number, entry in enumerate(own))
    told += Counter(f"restarted by Slurm after {state.lower()}" for state in restarts)
    texts = (f"{text} ({count} times)" if count > 1 else text for text, count in told.items())
    each = e.allocations.sentence() if any(entry.cause == "time limit" for entry in own) else ""
    return f"; so far: {', '.join([*texts, *([each] if each else [])])}" if told else ""


def _continuation(entry: submissions.Entry, before: Sequence[submissions.Entry]) -> str:
    """ "requeue after time limit", "chain after bad node (n4)": the node that was not known before."""
    known = {node for other in before for node in other.bad_nodes}
    nodes = [node for node in entry.bad_nodes if node not in known]
    return f"{entry.event} after {entry.cause}" + (f" ({', '.join(nodes)})" if nodes else "")
