"""The state of jobs in Slurm: one query for all of them, and not more often than administrators like."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from dual_hpc.errors import EnvironmentFault
from launch.cluster.accounting import SACCT, parse_accounting
from launch.cluster.client import PATIENCE, SlurmSilent, call
from launch.cluster.job_record import SlurmJob

WATCHER_SECONDS = 30.0
LOOK_PATIENCE = 10.0  # seconds that a command waits for Slurm which only shows something


@dataclass
class Scheduler:
    """Slurm's answers and failures, cached for `interval` seconds (0: not at all).

    Attributes:
        patience: seconds to wait for a Slurm that does not answer.
        run: calls one of Slurm's commands; tests replace it.
        accounting_silent: accounting did not answer the last question, so a job that is not found may still exist.
    """

    interval: float = 0.0
    run: Callable[[Sequence[str]], str] | None = None
    clock: Callable[[], float] = time.monotonic
    patience: float = PATIENCE
    accounting_silent: bool = field(default=False, init=False)
    _asked: float = field(default=-math.inf, init=False)
    _answers: dict[str, SlurmJob | None] = field(default_factory=dict, init=False)
    _fault: EnvironmentFault | None = field(default=None, init=False)

    def jobs(self, job_ids: Iterable[str]) -> dict[str, SlurmJob]:
        """Those of `job_ids` that Slurm knows: from the queue; of those that have ended, from accounting as well.

        A job that is not in the cache is queried at once.

        Raises:
            EnvironmentFault: Slurm does not answer.
        """
        wanted = list(dict.fromkeys(job_ids))
        recent = self.clock() - self._asked < self.interval
        if wanted and recent and self._fault is not None:
            raise self._fault
        if wanted and not (recent and all(job in self._answers for job in wanted)):
            try:
                queue = self._queue(wanted)
            except EnvironmentFault as error:
                self._asked, self._fault = self.clock(), error
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
        self.accounting_silent = False
        jobs: dict[str, SlurmJob] = {}
        try:
            for some in _portions(job_ids):
                jobs |= parse_accounting(self._call([*SACCT, f"--jobs={','.join(some)}"]))
        except SlurmSilent:
            self.accounting_silent = True
        except EnvironmentFault:  # this cluster keeps no accounts
            pass
        return jobs

    def _queue(self, job_ids: Sequence[str]) -> dict[str, SlurmJob]:
        """By number, whoever submitted them: a store may belong to a project."""
        jobs: dict[str, SlurmJob] = {}
        for some in _portions(list(dict.fromkeys(array_of(job) or job for job in job_ids))):
            try:
                jobs |= parse_queue(self._call([*SQUEUE, f"--jobs={','.join(some)}"]))
            except SlurmSilent:
                raise
            except EnvironmentFault as error:
                if UNKNOWN_JOB not in str(error):  # squeue fails where it knows none of them
                    raise
        return jobs

    def _call(self, words: Sequence[str]) -> str:
        return self.run(words) if self.run is not None else call(words, self.patience)


# With the jobs that have just ended: accounting knows them some seconds later. The mark tells an answer from a notice
# of the cluster's, or from the "CLUSTER: name" above the answer of each of several clusters.
MARK = "dual_hpc"
SQUEUE = ("squeue", "--noheader", "--array", "--states=all", f"--format={MARK}|%i|%T|%r|%N|%S")
UNKNOWN_JOB = "Invalid job id"
MOST_JOBS = 2000  # of one question: a command line has its limits


def _portions(job_ids: Sequence[str]) -> list[Sequence[str]]:
    return [job_ids[start : start + MOST_JOBS] for start in range(0, len(job_ids), MOST_JOBS)]


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
    """What SQUEUE prints, by job id; any other line is somebody else's."""
    jobs = {}
    for line in text.splitlines():
        mark, *fields = line.split("|")
        if mark != MARK or len(fields) != 5:
            continue
        job_id, state, reason, nodes, start = fields
        expected = start if state == "PENDING" and start != "N/A" else ""
        jobs[job_id] = SlurmJob(job_id, state, "" if reason == "None" else reason, nodes, start=expected)
    return jobs
