"""Why a run failed, in one sentence: pure, from the most certain cause to what only Slurm says."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from launch.cluster.hostlist import expand_hosts
from launch.cluster.job_record import memory_text
from launch.cluster.state import State
from launch.records.failures import LOST_PEER, Failure
from launch.records.submissions import EVERY_NODE_BAD
from launch.runs.findings import FULL, Diagnosis, Evidence, place

_OFTEN = {
    signal.SIGKILL: "often because its node had no memory left",
    signal.SIGBUS: "often because /dev/shm was full",
    signal.SIGSEGV: "a crash in a native library",
    signal.SIGABRT: "a crash in a native library",
}
_OF_SLURM = (signal.SIGTERM, signal.SIGUSR2, signal.SIGCONT)  # with which Slurm itself ends steps


def why_failed(e: Evidence) -> Diagnosis:
    """It hung, the store was full, a signal killed a rank, a rank said why it failed, or a job why it ends."""
    last = e.history[-1] if e.history else None
    if e.hung:
        sentence = f"it hung {e.at}: the watchdog ended {', '.join(e.hung[:4])}; their logs show where each thread was"
        return Diagnosis(State.FAILED, sentence, e.read_logs, "hang")
    if e.unfit and (e.root_cause is None or e.root_cause.bad_nodes or e.root_cause.message.startswith(LOST_PEER)):
        return _unfit(e)
    full = next((text for text in (*(f.message for f in e.failures), e.full) if FULL.search(text)), None)
    if full is not None:
        return _full(e, full)
    killed = e.srun.killed
    if killed is not None:
        return _killed(e, f"task {killed.tasks} on {killed.node}", killed.signal)
    if e.root_cause is not None:
        return _told(e, e.root_cause)
    if e.status.local and e.root_cause is None:
        sentence = (
            f"process {e.status.job_id}, which led it, has ended without a word {e.at}: it was killed, or the machine"
        )
        return Diagnosis(State.FAILED, f"{sentence} was restarted{e.quote}", e.resume, "killed")
    script = _signal_of(e.past.exit_code, told=()) if e.past is not None else None
    if script is not None:
        sentence = f"its batch script was ended by signal {script.value} ({script.name}) {e.at}{place(e)}: "
        sentence += "someone's `scancel --full --signal`, or the site"
        return Diagnosis(State.FAILED, sentence, e.resume, "signal")
    number = next((n for code in (e.past.step_exits if e.past else ()) if (n := _signal_of(code)) is not None), None)
    if number is not None:
        return _killed(e, f"a task{place(e)}", number)
    if e.srun.unstarted:
        return Diagnosis(State.FAILED, f"its processes did not begin{place(e)}: {e.srun.unstarted[:200]}", e.read_logs)
    if last is not None and last.event == "leave":
        return Diagnosis(State.FAILED, f"ended {e.at}: {last.cause}{e.quote}", e.resume)
    return unexplained(e)


def _told(e: Evidence, cause: Failure) -> Diagnosis:
    """What a rank said, and why no other job was submitted where what is installed is at fault."""
    if cause.installation:
        sentence = f"failed {e.at}: {cause.message}{place(e)}; no node was excluded"
        advice = f"`dual-hpc doctor` on such a node shows torch, GPU and driver; after the installation {e.resume}"
        return Diagnosis(State.FAILED, sentence, advice, "installation")
    return Diagnosis(State.FAILED, f"failed {e.at}: {cause.message}{place(e)}", e.read_logs)


def unexplained(e: Evidence) -> Diagnosis:
    """What Slurm says, where nobody else says anything."""
    slurm = f"Slurm says {e.past.state.lower()} ({e.past.exit_code})" if e.past else "nothing is known of its job"
    return Diagnosis(e.status.state, f"{e.status.state} {e.at}: {slurm}{e.quote}", e.read_logs)


def _unfit(e: Evidence) -> Diagnosis:
    """Nodes that lack what others have, or of which a check has failed."""
    where = ", ".join(e.unfit)
    texts = (text.removeprefix("node ").removeprefix(f"{node}: ") for node, text in e.unfit.items())
    told = dict.fromkeys(text.removeprefix(f"{where}: ") for text in texts)
    sentence = f"node {where} is not fit {e.at}: {'; '.join(told)}"
    if given_up(e):
        sentence += "; as every node fails, no further one was tried"
    elif is_installation(e):
        sentence += "; the job had no other"
    else:
        return Diagnosis(State.FAILED, sentence, f"{e.resume}; it avoids {where}", "node")
    return Diagnosis(State.FAILED, sentence, f"check the installation; {e.resume}", "bad nodes")


def is_installation(e: Evidence) -> bool:
    """True if several nodes are unfit and these are all that the job had: no other will be fit."""
    nodes = expand_hosts(e.past.nodes) if e.past is not None else []
    return given_up(e) or (len(nodes) > 1 and set(nodes) <= e.unfit.keys())


def given_up(e: Evidence) -> bool:
    """True if the run did not go on because none of its nodes was fit."""
    last = e.history[-1] if e.history else None
    return last is not None and last.event == "leave" and last.cause == EVERY_NODE_BAD


def _full(e: Evidence, message: str) -> Diagnosis:
    now = f"; {e.free_bytes / 2**30:.1f} GB are free now" if e.free_bytes is not None else ""
    sentence = f"the disk or the quota was full {e.at}: {message}{place(e)}{now}"
    advice = (
        f"free space or inodes (`dual-hpc doctor` shows both; `dual-hpc ckpt prune` removes checkpoints); {e.resume}"
    )
    return Diagnosis(State.FAILED, sentence, advice, "full")


def _killed(e: Evidence, who: str, number: signal.Signals) -> Diagnosis:
    why = f", {_OFTEN[number]}" if number in _OFTEN else ""
    used = e.past.usage if e.past is not None else None
    of = f" of {memory_text(used.memory)}" if used and used.memory else ""
    peak = f" (peak {memory_text(used.peak_memory)}{of})" if used and used.peak_memory else ""
    sentence = f"{who} was killed by signal {number.value} ({number.name}) {e.at}{why}{peak}"
    return Diagnosis(State.FAILED, sentence, e.read_logs, "killed")


def _signal_of(exit_code: str, told: Sequence[signal.Signals] = _OF_SLURM) -> signal.Signals | None:
    """The signal of "code:signal" in accounting, but for those `told` of something else."""
    _, _, number = exit_code.partition(":")
    try:
        found = signal.Signals(int(number))
    except ValueError:
        return None
    return None if found in told else found
