"""Why a run failed, in one sentence: pure, from the most certain cause to what only Slurm says."""

from __future__ import annotations

import signal

from launch.cluster.state import State
from launch.records.failures import Failure
from launch.records.submissions import EVERY_NODE_BAD
from launch.runs.findings import FULL, Diagnosis, Evidence, place

_OFTEN = {
    signal.SIGKILL: "often because its node had no memory left",
    signal.SIGBUS: "often because /dev/shm was full",
    signal.SIGSEGV: "a crash in a native library",
    signal.SIGABRT: "a crash in a native library",
}
CANNOT_OPEN_LOG = "0:53"  # how Slurm ends a job whose log it cannot open on the node


def why_failed(e: Evidence) -> Diagnosis:
    """It hung, the store was full, a signal killed a rank, a rank said why it failed, or a job why it ends."""
    last = e.history[-1] if e.history else None
    if e.hung:
        sentence = f"it hung {e.at}: the watchdog ended {', '.join(e.hung[:4])}; their logs show where each thread was"
        return Diagnosis(State.FAILED, sentence, e.read_logs, "hang")
    full = next((text for text in (*(f.message for f in e.failures), e.full) if FULL.search(text)), None)
    if full is not None:
        return _full(e, full)
    killed = e.srun.killed
    if killed is not None:
        return _killed(e, f"task {killed.tasks} on {killed.node}", killed.signal)
    if e.root_cause is not None:
        return _told(e, e.root_cause)
    if e.past is not None and e.past.exit_code == CANNOT_OPEN_LOG:
        sentence = f"its first node could not open the job's log {e.at}: {e.store} is not there, or full{place(e)}"
        return Diagnosis(State.FAILED, sentence, f"check the node ({e.past.nodes}); {e.resume}", "store")
    number = next((n for code in (e.past.step_exits if e.past else ()) if (n := _signal_of(code)) is not None), None)
    if number is not None:
        return _killed(e, f"a task{place(e)}", number)
    if e.srun.unstarted:
        return Diagnosis(State.FAILED, f"its processes did not begin{place(e)}: {e.srun.unstarted[:200]}", e.read_logs)
    if last is not None and last.event == "leave":
        return Diagnosis(State.FAILED, f"ended {e.at}: {last.cause}{e.quote}", e.resume)
    return unexplained(e)


def _told(e: Evidence, cause: Failure) -> Diagnosis:
    """What a rank said, and why no other job was submitted where the nodes or what is installed are at fault."""
    last = e.history[-1] if e.history else None
    if cause.installation:
        sentence = f"failed {e.at}: {cause.message}{place(e)}; no node was excluded"
        advice = f"`dual-hpc doctor` on such a node shows torch, GPU and driver; after the installation {e.resume}"
        return Diagnosis(State.FAILED, sentence, advice, "installation")
    if cause.bad_nodes and last is not None and last.event == "leave" and last.cause == EVERY_NODE_BAD:
        sentence = f"failed {e.at}: {cause.message}; as every node fails, no further one was tried"
        return Diagnosis(State.FAILED, sentence, e.read_logs, "bad nodes")
    return Diagnosis(State.FAILED, f"failed {e.at}: {cause.message}{place(e)}", e.read_logs)


def unexplained(e: Evidence) -> Diagnosis:
    """What Slurm says, where nobody else says anything."""
    slurm = f"Slurm says {e.past.state.lower()} ({e.past.exit_code})" if e.past else "nothing is known of its job"
    return Diagnosis(e.status.state, f"{e.status.state} {e.at}: {slurm}{e.quote}", e.read_logs)


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
    of = f" of {used.memory / 2**30:.1f}" if used and used.memory else ""
    peak = f" (peak {used.peak_memory / 2**30:.1f}{of} GB)" if used and used.peak_memory else ""
    sentence = f"{who} was killed by signal {number.value} ({number.name}) {e.at}{why}{peak}"
    return Diagnosis(State.FAILED, sentence, e.read_logs, "killed")


def _signal_of(exit_code: str) -> signal.Signals | None:
    """The signal of "code:signal" in accounting, but for those with which Slurm itself ends steps."""
    _, _, number = exit_code.partition(":")
    try:
        found = signal.Signals(int(number))
    except ValueError:
        return None
    return None if found in (signal.SIGTERM, signal.SIGUSR2, signal.SIGCONT) else found
