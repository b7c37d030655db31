"""How each of the ends is brought about; each of these is run in a thread of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass

from dual_hpc.run.names import CODE_ARCHIVE
from launch.cluster.state import State
from tests.slurm.observe import is_in, node, profile, slurm, step_of
from tests.slurm.scene import ENDLESS, LATER, Scene

BRIEF = ("launch.hours=0.0166",)  # a minute; Slurm's warning comes up to a minute early
WHOLE_NODE = "launch.cpus_per_rank=4"


def finished(s: Scene) -> None:
    s.submit("end-finished", "training.max_steps=2")


def stopped(s: Scene) -> None:
    s.endless("end-stopped")
    s.dual("stop", "end-stopped")


def out_of_time(s: Scene) -> None:
    brief = profile(s.folder, "brief", "signal_seconds: 5")
    s.submit("end-out-of-time", *ENDLESS, *BRIEF, "launch.max_continuations=1", brief)


def slow_start(s: Scene) -> None:
    slow = profile(s.folder, "slow", "signal_seconds: 5", "setup: [sleep 100]")
    s.submit("end-slow-start", *ENDLESS, *BRIEF, slow)


def preempted(s: Scene) -> None:
    run = s.submit("end-preempted", "training.max_steps=40", "launch.partition=low", WHOLE_NODE)
    s.until("it trains", lambda: step_of(run) >= 1)
    job = slurm("sbatch", "--parsable", "-p", "high", f"-w{s.node(run)}", "-c4", "-o/dev/null", "--wrap=sleep 20")
    s.until("it was taken", lambda: s.queue(run) == "PENDING")
    assert job


def evicted(s: Scene) -> None:
    run = s.endless("end-evicted", "launch.partition=lowc0", WHOLE_NODE)
    slurm("sbatch", "-p", "high", f"-w{s.node(run)}", "-c4", "-o/dev/null", "--wrap=sleep 2")


def scancelled(s: Scene) -> None:
    slurm("scancel", s.job(s.endless("end-scancelled")))


def scancelled_in_full(s: Scene) -> None:
    slurm("scancel", "--full", s.job(s.endless("end-scancelled-in-full")))


def terminated_in_full(s: Scene) -> None:
    slurm("scancel", "--full", "--signal=TERM", s.job(s.endless("end-terminated-in-full")))


def cancelled_waiting(s: Scene) -> None:
    s.submit("end-cancelled-waiting", LATER)
    s.dual("cancel", "end-cancelled-waiting")


def scancelled_waiting(s: Scene) -> None:
    slurm("scancel", s.job(s.submit("end-scancelled-waiting", LATER)))


def stopped_waiting(s: Scene) -> None:
    s.submit("end-stopped-waiting", LATER)
    s.dual("stop", "end-stopped-waiting")


def node_crashed(s: Scene) -> None:
    run = s.endless("end-node-crashed", profile(s.folder, "strict", "requeue: false"), WHOLE_NODE)
    victim = s.node(run)
    node("crash", victim)
    try:
        s.until("Slurm noticed", lambda: is_in(victim, "down"))
    finally:
        node("start", victim, f"10.77.0.1{victim[1:]}")
    s.until("the node is back", lambda: is_in(victim, "idle", "mixed", "allocated"))


def killed(s: Scene) -> None:
    s.signal_rank(s.endless("end-killed"), "KILL")


def segfault(s: Scene) -> None:
    s.signal_rank(s.endless("end-segfault"), "SEGV")


def greedy(s: Scene) -> None:
    s.submit("end-greedy", "launch.memory=80M")


def disk_full(s: Scene) -> None:
    s.endless("end-disk-full", "plugins=[full_disk]", **s.preload())
    s.dual("stop", "end-disk-full")  # a save that fails is a warning, but for the last one


def store_not_there(s: Scene) -> None:
    run = s.submit("end-store-not-there", LATER, "launch.nodelist=n4")
    with s.hidden(run.path, "n4"):
        slurm("scontrol", "update", f"JobId={s.job(run)}", "StartTime=now")
        s.until("it has ended", lambda: s.queue(run) == "FAILED")


def environment_not_there(s: Scene) -> None:
    python = s.own_environment("env")
    with s.hidden(python.parents[1], "n4"):
        run = s.submit("end-environment-not-there", "launch.nodelist=n4", python=str(python))
        s.until("it has ended", lambda: s.queue(run) == "FAILED")


def temporary_folder_full(s: Scene) -> None:
    tmp = s.folder / "scratch"
    tmp.mkdir()
    with s.hidden(tmp, "n1", "n2"):
        s.submit("end-temporary-folder-full", "training.max_steps=2", "launch.exclude=n4", TMPDIR=str(tmp))
        s.until("it has finished", lambda: s.why("end-temporary-folder-full").state is State.FINISHED, 240)


def module_missing(s: Scene) -> None:
    s.submit("end-module-missing", profile(s.folder, "modular", "modules: [cuda/99]"))


def setup_failing(s: Scene) -> None:
    s.submit("end-setup-failing", profile(s.folder, "setup", 'setup: ["source /nowhere/activate || exit 3"]'))


def mistaken(s: Scene) -> None:
    run = s.submit("end-mistaken", LATER)
    run.config_file.write_text(re.sub(r"hidden_size: \d+", "hidden_size: 15", run.config_file.read_text()))
    slurm("scontrol", "update", f"JobId={s.job(run)}", "StartTime=now")


def shard_damaged(s: Scene) -> None:
    shards = s.folder / "damaged"
    shutil.copytree(s.cluster.shards, shards)
    for shard in shards.rglob("*.tar"):
        whole = bytearray(shard.read_bytes())
        whole[len(whole) // 4 :] = bytes(len(whole) - len(whole) // 4)
        shard.write_bytes(whole)
    s.submit("end-shard-damaged", "--shards", str(shards))


def divergent(s: Scene) -> None:
    s.submit("end-divergent", *ENDLESS, "optim.lr=4e9", "optim.warmup_fraction=0", "training.non_finite_limit=2")


def stuck(s: Scene) -> None:
    more = ("launch.ranks_per_node=2", "launch.memory=1800M", "training.hang_minutes=0.25")
    run = s.endless("end-stuck", *more)
    s.until("its first steps are over", lambda: step_of(run) >= 8)
    s.signal_rank(run, "STOP", rank=1)


def plugin_raises(s: Scene) -> None:
    s.submit("end-plugin-raises", "plugins=[fragile]", "model.video.kind=fragile", PYTHONPATH=s.plugins())


def requeue_refused(s: Scene) -> None:
    run = s.endless("end-requeue-refused")
    slurm("scontrol", "update", f"JobId={s.job(run)}", "Requeue=0")
    slurm("scancel", "--signal=USR2", s.job(run))


def mlflow_away(s: Scene) -> None:
    s.submit("end-mlflow-away", "training.max_steps=2", "tracking.uri=http://127.0.0.1:9")


def never_begins(s: Scene) -> None:
    failed = slurm("sbatch", "--parsable", "-o/dev/null", "--wrap=false").strip()
    run = s.submit("end-never-begins", LATER)
    s.until("the other has failed", lambda: "FAILED" in slurm("squeue", "-h", "--states=all", f"-j{failed}", "-o%T"))
    slurm("scontrol", "update", f"JobId={s.job(run)}", f"Dependency=afterok:{failed}", "StartTime=now")


def held(s: Scene) -> None:
    slurm("scontrol", "hold", s.job(s.submit("end-held", LATER)))


def waits(s: Scene) -> None:
    slurm("sbatch", "--job-name=end-blocker", "-p", "main", "-t30", "--mem=10M", "-o/dev/null", "--wrap=sleep 1800")
    s.cluster.started.append("end-blocker")
    s.submit("end-waits", "launch.partition=low", "launch.nodes=4", WHOLE_NODE)


def code_missing(s: Scene) -> None:
    run = s.submit("end-code-missing", LATER)
    (run.path / CODE_ARCHIVE).unlink()
    slurm("scontrol", "update", f"JobId={s.job(run)}", "StartTime=now")


def suspended(s: Scene) -> None:
    run = s.endless("end-suspended", "tracking.enabled=false")  # it may hold the lock of MLflow's database for ever
    slurm("scontrol", "suspend", s.job(run))


def restarted(s: Scene) -> None:
    run = s.endless("end-restarted")
    slurm("scontrol", "requeue", s.job(run))
    s.until("it is back in the queue", lambda: s.queue(run) == "PENDING")
    slurm("scontrol", "hold", s.job(run))


def controller_dead(s: Scene) -> None:
    run = s.endless("end-controller-dead", "launch.profile=local")
    os.kill(int(s.job(run)), signal.SIGKILL)


@dataclass(frozen=True)
class End:
    """One end of a run.

    Attributes:
        make: brings it about.
        state: in `runs` and `why`.
        said: in the sentence of `why`, as regular expressions.
        mlflow: the status of MLflow's run after `sync`; "" where MLflow cannot be reached.
        advised: in the advice of `why`.
    """

    make: Callable[[Scene], None]
    state: State
    said: tuple[str, ...]
    mlflow: str
    advised: str = ""

    @property
    def name(self) -> str:
        """Of the run."""
        return "end-" + self.make.__name__.replace("_", "-")


F, Q, KILLED, FAILED = "FINISHED", "SCHEDULED", "KILLED", "FAILED"
ENDS = (
    # Those that need a whole node, or take longest, come first.
    End(node_crashed, State.NODE_FAILURE, (r"a node of n\d failed at step \d+",), FAILED, "resume end-node-crashed"),
    End(preempted, State.FINISHED, (r"so far: requeue after preempted( \(\d times\))?; goodput",), F),
    End(evicted, State.PREEMPTED, ("a job of higher priority took its nodes",), KILLED, "resume"),
    End(
        out_of_time,
        State.OUT_OF_TIME,
        ("the time limit ended it at step", "after 1 continuations; [0-9.]+ steps per allocation"),
        FAILED,
        "launch.hours=",
    ),
    End(slow_start, State.OUT_OF_TIME, ("0 steps per allocation: starting up took longer than the limit",), FAILED),
    End(temporary_folder_full, State.FINISHED, (r"so far: chain after bad node \(n\d\)",), F),
    End(stuck, State.FAILED, ("it hung at step", "rank_0000"), FAILED, "logs end-stuck"),
    End(controller_dead, State.FAILED, (r"process \d+, which led it, has ended without a word",), FAILED),
    End(finished, State.FINISHED, ("finished at step 2 of 2; goodput",), F, "evaluate end-finished"),
    End(stopped, State.STOPPED, (r"stopped by `dual-hpc stop` at step \d+ of 1000000, and saved$",), KILLED),
    End(scancelled, State.CANCELLED, ("cancelled by someone's scancel at step",), KILLED),
    End(scancelled_in_full, State.CANCELLED, ("cancelled by someone's scancel at step",), KILLED),
    End(terminated_in_full, State.FAILED, (r"its batch script was ended by signal 15 \(SIGTERM\)",), FAILED),
    End(cancelled_waiting, State.CANCELLED, ("cancelled by `dual-hpc cancel`",), KILLED),
    End(scancelled_waiting, State.CANCELLED, ("cancelled by someone's scancel",), KILLED),
    End(stopped_waiting, State.STOPPED, ("removed from the queue by `dual-hpc stop`",), KILLED),
    End(killed, State.FAILED, (r"task 0 on n\d was killed by signal 9 \(SIGKILL\).*no memory left",), FAILED),
    End(segfault, State.FAILED, (r"task 0 on n\d was killed by signal 11 \(SIGSEGV\).*native library",), FAILED),
    End(
        greedy,
        State.OUT_OF_MEMORY,
        (r"ran out of memory at step 0 \(on n\d\); the job had 80 MB per node; its largest process used \d+ MB",),
        FAILED,
        "launch.memory",
    ),
    End(
        disk_full,
        State.FAILED,
        ("the disk or the quota was full", "No space left on device", "GB are free now"),
        FAILED,
    ),
    End(
        store_not_there,
        State.FAILED,
        ("node n4 is not fit", "log cannot be opened there: .*runs is not"),
        FAILED,
    ),
    End(environment_not_there, State.FAILED, ("node n4 is not fit", "/python: No such file"), FAILED, "avoids n4"),
    End(module_missing, State.FAILED, (r"did not begin \(on n\d\): module load cuda/99 failed",), FAILED),
    End(setup_failing, State.FAILED, (r"did not begin \(on n\d\): line \d+: /nowhere/activate: No",), FAILED),
    End(code_missing, State.FAILED, (r"can't open file '.*code\.zip'",), FAILED),
    End(mistaken, State.USER_ERROR, ("refused at step 0: model.num_heads=2 does not divide",), FAILED, "change that"),
    End(shard_damaged, State.USER_ERROR, ("index.json does not belong to .*tar", "inspect --verify"), FAILED),
    End(divergent, State.USER_ERROR, ("the loss was not finite at step", "samples: "), FAILED, "lower optim.lr"),
    End(plugin_raises, State.FAILED, (r"RuntimeError: the third batch is one too many \(rank 0 on n\d\)",), FAILED),
    End(requeue_refused, State.STOPPED, ("and saved; could not continue: ", "disabled"), KILLED, "after step"),
    End(mlflow_away, State.FINISHED, ("finished at step 2 of 2; goodput",), ""),
    End(never_begins, State.QUEUED, (r"waits in the queue \(DependencyNeverSatisfied\)$",), Q, "will not begin"),
    End(held, State.QUEUED, (r"waits in the queue \(JobHeld\w+\)$",), Q, "scontrol release"),
    End(waits, State.QUEUED, (r"waits in the queue \(\w+\); Slurm expects it to begin at \d\d:\d\d",), Q),
    End(suspended, State.SUSPENDED, ("Slurm has suspended job",), ""),
    End(restarted, State.QUEUED, ("so far: restarted by Slurm after requeued$",), Q, "scontrol release"),
)
