"""The state of jobs in Slurm: one query for all of them, and not more often than administrators like."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from dual_hpc.errors import EnvironmentFault, one_line
from launch.cluster.state import ACTIVE, State, from_slurm

WATCHER_SECONDS = 30.0


@dataclass(frozen=True)
class SlurmJob:
    """One job as Slurm knows it.

    Attributes:
        state: PENDING, RUNNING, COMPLETED, CANCELLED, TIMEOUT, NODE_FAIL, OUT_OF_MEMORY, PREEMPTED ...
        reason: why it waits, or "" .
        exit_code: "code:signal" of a job that has ended.
        steps: the states of its steps in accounting.
        earlier: the states of its earlier starts, oldest first.
    """

    job_id: str
    state: str
    reason: str = ""
    nodes: str = ""
    exit_code: str = ""
    steps: tuple[str, ...] = ()
    earlier: tuple[str, ...] = ()

    @property
    def active(self) -> bool:
        return self.as_state() in ACTIVE

    def as_state(self) -> State:
        """The state as `dual-hpc status` calls it."""
        return from_slurm(self.state, self.steps)


def command(words: Sequence[str]) -> str:
    """Run a command of Slurm; its standard output.

    Raises:
        EnvironmentFault: it failed, or did not answer in time.
    """
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentFault(f"{words[0]} does not answer: {error}") from error
    if done.returncode != 0:
        raise EnvironmentFault(f"{words[0]}: {one_line(done.stderr) or f'exit code {done.returncode}'}")
    return done.stdout


@dataclass
class Scheduler:
    """Slurm's answers and failures, cached for `interval` seconds (0: not at all)."""

    interval: float = 0.0
    run: Callable[[Sequence[str]], str] = command
    clock: Callable[[], float] = time.monotonic
    _asked: float = field(default=-math.inf, init=False)
    _answers: dict[str, SlurmJob | None] = field(default_factory=dict, init=False)
    _fault: str | None = field(default=None, init=False)

    def jobs(self, job_ids: Iterable[str]) -> dict[str, SlurmJob]:
        """Those of `job_ids` that Slurm knows: from the queue; of those that have ended, from accounting as well.

        A job that is not in the cache is queried at once.

        Raises:
            EnvironmentFault: Slurm does not answer.
        """
        wanted = list(dict.fromkeys(job_ids))
        recent = self.clock() - self._asked < self.interval
        if wanted and recent and self._fault is not None:
            raise EnvironmentFault(self._fault)
        if wanted and not (recent and all(job in self._answers for job in wanted)):
            try:
                queue = parse_queue(self.run([*SQUEUE, f"--format={QUEUE}"]))
            except EnvironmentFault as error:
                self._asked, self._fault = self.clock(), str(error)
                raise
            missing = [job for job in wanted if job not in queue or not queue[job].active]
            past = self.accounts(list(dict.fromkeys(name for job in missing for name in (job, array_of(job)) if name)))
            self._answers = {
                job: with_accounting(queue.get(job), past.get(job)) or lost_member(job, queue, past) for job in wanted
            }
            self._asked, self._fault = self.clock(), None
        return {job: answer for job in wanted if (answer := self._answers[job]) is not None}

    def accounts(self, job_ids: Sequence[str]) -> dict[str, SlurmJob]:
        """Jobs in accounting, which is some seconds late, and which not every cluster has."""
        if not job_ids:
            return {}
        fields = ["--noheader", "--parsable2", "--duplicates", f"--format={ACCOUNT}"]
        try:
            return parse_accounting(self.run(["sacct", f"--jobs={','.join(job_ids)}", *fields]))
        except EnvironmentFault:
            return {}


# With the jobs that have just ended: accounting knows them some seconds later.
SQUEUE = ("squeue", "--me", "--noheader", "--array", "--states=all")
QUEUE = "%i|%T|%r|%N"
ACCOUNT = "JobID,State,ExitCode,NodeList"


def available() -> bool:
    """True where Slurm's commands are installed."""
    return shutil.which("squeue") is not None


def array_of(job_id: str) -> str | None:
    """The array that a job is a member of."""
    array, _, member = job_id.partition("_")
    return array if member else None


def lost_member(job_id: str, *known: Iterable[str]) -> SlurmJob | None:
    """A member that is cancelled while it waits is in no table, not even in accounting; the rest of its array is."""
    array = array_of(job_id)
    names = [name for source in known for name in source]
    if array is None or not any(name == array or name.startswith(f"{array}_") for name in names):
        return None
    return SlurmJob(job_id, "CANCELLED")


def with_accounting(queue: SlurmJob | None, account: SlurmJob | None) -> SlurmJob | None:
    """Accounting's view; where it is some seconds late, with the state that the controller knows already."""
    if account is None or queue is None:
        return account or queue
    return replace(account, state=queue.state, nodes=queue.nodes) if account.state != queue.state else account


def parse_queue(text: str) -> dict[str, SlurmJob]:
    """`squeue --format=QUEUE` by job id."""
    jobs = {}
    for line in text.splitlines():
        job_id, state, reason, nodes = line.split("|")
        jobs[job_id] = SlurmJob(job_id, state, "" if reason == "None" else reason, nodes)
    return jobs


def parse_accounting(text: str) -> dict[str, SlurmJob]:
    """`sacct --duplicates --format=ACCOUNT`: the last start of each job, with its steps and the earlier starts."""
    jobs: dict[str, SlurmJob] = {}
    for line in text.splitlines():
        name, state, exit_code, nodes = line.split("|")
        job_id, _, step = name.partition(".")
        state = state.split()[0] if state else ""  # "CANCELLED by 1000"
        before = jobs.get(job_id)
        if not step:
            earlier = (*before.earlier, before.state) if before else ()
            jobs[job_id] = SlurmJob(job_id, state, "", nodes, exit_code, earlier=earlier)
        elif before:
            steps = (*before.steps, state)
            jobs[job_id] = SlurmJob(job_id, before.state, "", before.nodes, before.exit_code, steps, before.earlier)
    return jobs


@dataclass(frozen=True)
class JobFacts:
    """What `scontrol show job` says of the job that asks; see `launch.job.requeue`.

    Attributes:
        restarts: how often Slurm has started it again, this time included.
        preempted: Slurm has set a time at which it takes the nodes away.
        seconds_left: to the time limit; None if there is none.
    """

    state: str
    restarts: int
    reason: str
    preempted: bool
    seconds_left: float | None


def facts(job_id: str, run: Callable[[Sequence[str]], str] = command) -> JobFacts:
    """Ask Slurm about the job that runs this process."""
    return parse_facts(run(["scontrol", "--oneliner", "show", "job", job_id]), time.time())


def parse_facts(text: str, now: float) -> JobFacts:
    """`scontrol --oneliner show job`; of an array's member its own line, which is the first."""
    values = dict(re.findall(r"(\w+)=(\S*)", text.splitlines()[0] if text.strip() else ""))
    return JobFacts(
        state=values.get("JobState", ""),
        restarts=int(values.get("Restarts") or 0),
        reason=values.get("Reason", ""),
        preempted=values.get("PreemptTime", "None") not in ("None", "Unknown", ""),
        seconds_left=_seconds(values.get("EndTime", ""), now),
    )


def _seconds(moment: str, now: float) -> float | None:
    try:
        return time.mktime(time.strptime(moment, "%Y-%m-%dT%H:%M:%S")) - now
    except ValueError:
        return None
