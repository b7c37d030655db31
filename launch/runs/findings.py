"""What is known of a run, and what is concluded from it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from launch.cluster.hostlist import expand_hosts
from launch.cluster.job_record import SlurmJob
from launch.cluster.state import State
from launch.records import failures, submissions
from launch.records.failures import Failure
from launch.records.srun_output import SrunOutput
from launch.runs.allocations import Allocations
from launch.runs.status import RunStatus

CANNOT_OPEN_LOG = "0:53"  # how Slurm ends a job whose log it cannot open on its first node
# The words of the C library, and of the check of the store before training.
FULL = re.compile(
    r"no space left on device|disk quota exceeded|less than .* are free on the file system", re.IGNORECASE
)


@dataclass(frozen=True)
class Evidence:
    """What is known of a run.

    Attributes:
        saved: the newest job wrote a checkpoint when it was asked to stop.
        step, total: optimiser steps done, and of the whole run (None before training has written it).
        silent_seconds: since it made progress last, as its journal shows.
        past: accounting's view of its newest job, with the states before Slurm restarted it.
        failures: what its ranks wrote when they failed, since they were started last.
        hung: the ranks that the watchdog ended.
        last_words: the last line of rank 0's log.
        srun: what srun says of processes that say nothing.
        full: the first line, in any rank's log, that says that a disk or quota was full.
        owner: the user whose run it is, where it is not this one's; only they can read its logs and resume it.
        store, free_bytes: the folder of the runs, and what is free on its file system.
        now: Unix seconds.
        checkpoint: step of its newest checkpoint; None where there is none.
        bottleneck: what slows its training down; "" for nothing.
        goodput: what its hours were used for, as a sentence; "" where nothing is known.
        allocations: what each of its jobs has done since the user submitted it last.
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
    srun: SrunOutput = field(default_factory=SrunOutput)
    full: str = ""
    owner: str = ""
    store: str = ""
    free_bytes: int | None = None
    now: float = 0.0
    checkpoint: int | None = None
    bottleneck: str = ""
    goodput: str = ""
    allocations: Allocations = field(default_factory=Allocations)

    @property
    def at(self) -> str:
        """ "at step 12 of 40"."""
        return f"at step {self.step}" + (f" of {self.total}" if self.total else "")

    @property
    def resume(self) -> str:
        """What resuming would do; it promises no checkpoint that is not there."""
        command = f"`dual-hpc resume {self.name}`" + (f" of {self.owner}, whose run it is," if self.owner else "")
        if self.checkpoint is None:
            return f"{command} begins again at step 0: it has no checkpoint yet"
        return f"{command} continues after step {self.checkpoint}, its newest checkpoint"

    @property
    def read_logs(self) -> str:
        if self.owner:
            return f"only {self.owner} can read its logs; {self.resume}"
        return f"read `dual-hpc logs {self.name}`; {self.resume}"

    @property
    def unfit(self) -> dict[str, str]:
        """The nodes that keep its newest job from working, each with what is wrong with it."""
        cause = self.root_cause
        found = dict.fromkeys(cause.bad_nodes, cause.message) if cause is not None else {}
        if self.past is not None and self.past.exit_code == CANNOT_OPEN_LOG and self.past.nodes:
            problem = f"the job's log cannot be opened there: {self.store} is not there, or full"
            found |= dict.fromkeys(expand_hosts(self.past.nodes)[:1], problem)
        return found or dict(self.srun.unfit)

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


def place(e: Evidence) -> str:
    """The rank and its host, else the job's nodes."""
    if e.root_cause is not None:
        return f" (rank {e.root_cause.rank} on {e.root_cause.host})"
    return f" (on {e.past.nodes})" if e.past and e.past.nodes else ""
