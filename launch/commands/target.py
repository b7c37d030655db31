"""How a command's job answers `status`, `why`, `logs`, `stop` and `cancel`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from dual_hpc.errors import UserError
from launch.cluster.slurm import LOOK_PATIENCE, WATCHER_SECONDS, Scheduler, available
from launch.cluster.state import ACTIVE, State
from launch.commands.control import cancel_job
from launch.commands.diagnosis import diagnose_command
from launch.commands.job_dir import JobDir
from launch.commands.status import command_statuses
from launch.runs.findings import Diagnosis
from launch.runs.target import LogSource, StatusReport


@dataclass(frozen=True)
class CommandTarget:
    """A job of `dual-hpc submit ... -- VERB`, with its tasks."""

    job: JobDir

    @property
    def name(self) -> str:
        return self.job.name

    def status(self) -> StatusReport:
        row = command_statuses([self.job], Scheduler(patience=LOOK_PATIENCE))[0]
        tasks = (
            f"{job} {state}{f' (exit code {code})' if code else ''}"
            for job, state, code in zip(row.job_ids, row.tasks, row.exit_codes, strict=True)
        )
        lines = {
            "job": row.path,
            "state": row.state.value,
            "command": row.command,
            "tasks": ", ".join(tasks),
            "nodes": row.nodes,
        }
        return StatusReport({"kind": "job", **dataclasses.asdict(row)}, lines)

    def diagnose(self) -> Diagnosis:
        return diagnose_command(self.job, Scheduler(patience=LOOK_PATIENCE))

    def log(self, rank: int) -> LogSource:
        scheduler = Scheduler(WATCHER_SECONDS, patience=LOOK_PATIENCE)
        count = len(self.job.description().job_ids)
        if rank >= count:
            raise UserError(f"--rank {rank}: {self.name} has the tasks 0 to {count - 1}")

        def active() -> bool:
            state = command_statuses([self.job], scheduler)[0].tasks[rank]
            return state in ACTIVE or (state is State.SUBMITTED and available())

        return LogSource(lambda: self.job.log(rank), active)

    def jobs(self) -> list[str]:
        return self.job.description().job_ids

    def stop(self) -> list[str]:
        verb = self.job.description().words[0]
        raise UserError(
            f"{self.name} is a job of `{verb}`, not a run: it has no checkpoint to save; `dual-hpc cancel {self.name}` "
            "ends it, and the same command submitted again continues where it ended"
        )

    def cancel(self) -> list[str]:
        return [cancel_job(self.job)]
