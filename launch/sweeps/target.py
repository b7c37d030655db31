"""How a sweep answers `status`, `why`, `logs`, `stop` and `cancel`: through its members."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dual_hpc.errors import UserError
from launch.cluster.slurm import LOOK_PATIENCE, Scheduler
from launch.cluster.state import ACTIVE, State, most_important
from launch.runs.diagnosis import diagnose
from launch.runs.evidence import collect_evidence
from launch.runs.findings import Diagnosis
from launch.runs.target import LogSource, RunTarget, StatusReport
from launch.sweeps.control import cancel_sweep, stop_sweep
from launch.sweeps.grid import SweepDir
from launch.sweeps.status import member_summaries


@dataclass(frozen=True)
class SweepTarget:
    """A sweep and the runs that are its members."""

    sweep: SweepDir

    @property
    def name(self) -> str:
        return self.sweep.sweep.name

    def status(self) -> StatusReport:
        rows = member_summaries(self.sweep, Scheduler(patience=LOOK_PATIENCE))
        states = [row.state for row in rows]
        state = states[most_important(states)]
        counts = {one.value: number for one, number in Counter(states).most_common()}
        lines = {"sweep": str(self.sweep.path), "state": state.value, "members": count_line(states)}
        data = {"kind": "sweep", "name": self.name, "path": str(self.sweep.path), "state": state.value}
        members = [dataclasses.asdict(row) for row in rows]
        return StatusReport({**data, "counts": counts, "members": members}, lines, rows)

    def diagnose(self) -> Diagnosis:
        """Of the member that matters most, and how many members are in each state."""
        scheduler = Scheduler(interval=60, patience=LOOK_PATIENCE)
        states = [row.state for row in member_summaries(self.sweep, scheduler)]
        number = most_important(states)
        member, state = self.sweep.runs()[number], states[number]
        if state is State.FINISHED:
            shown = f"`dual-hpc sweep --show {self.name}` shows their scores"
            return Diagnosis(state, f"all {len(states)} members have finished", shown)
        if state is State.MISSING:
            found = Diagnosis(state, "its folder is gone")
        elif state is State.UNREADABLE:
            found = Diagnosis(state, "its files cannot be read", f"`dual-hpc status {member.path.name}` names the file")
        else:
            found = diagnose(collect_evidence(member, scheduler))
        sentence = f"{member.path.name}: {found.sentence}; members: {count_line(states)}"
        again = f"`dual-hpc sweep --resubmit {self.name}` submits every member that failed or stopped"
        idle = state not in ACTIVE and state not in (State.MISSING, State.UNREADABLE)
        advice = "; ".join(filter(None, (found.advice, again if idle else "")))
        return dataclasses.replace(found, sentence=sentence, advice=advice)

    def log(self, rank: int) -> LogSource:
        runs = self.sweep.runs()
        if len(runs) > 1:
            raise UserError(
                f"{self.name} is a sweep of {len(runs)} members; name one of them, as in `dual-hpc logs "
                f"{runs[0].path.name}` (`dual-hpc status {self.name}` lists them)"
            )
        return RunTarget(runs[0]).log(rank)

    def jobs(self) -> list[str]:
        there = [run for run in self.sweep.runs() if run.identity_file.exists()]
        return [job for run in there for job in RunTarget(run).jobs()]

    def stop(self) -> list[str]:
        return stop_sweep(self.sweep)

    def cancel(self) -> list[str]:
        return cancel_sweep(self.sweep)


def count_line(states: Sequence[State]) -> str:
    """ "5: 3 finished, 1 failed, 1 running"."""
    counts = ", ".join(f"{number} {state}" for state, number in Counter(states).most_common())
    return f"{len(states)}: {counts}"
