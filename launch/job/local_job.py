"""submitit's local executor with two properties of Slurm: a session of its own, and a rank that fails ends the job.

Run as a module it is the controller of one job: `python -m launch.local FOLDER`.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from submitit.local.local import Controller as _Controller
from submitit.local.local import LocalExecutor, LocalJob, LocalJobEnvironment

from dual_hpc.errors import UserError
from dual_hpc.files.locks import try_lock
from dual_hpc.run.names import rank_log
from launch.job.notify import notify
from launch.job.ports import free_port
from launch.records import submissions
from launch.records.failures import Failure, read, record, root_cause

GRACE = 5.0  # seconds that the other ranks have to record their errors after one has failed
LOCK = "controller.lock"


class RankExecutor(LocalExecutor):
    """Starts `ranks` processes on this machine under a `Controller`, and refuses a second job on the same run.

    Args:
        python: shell command that starts a rank; None: this Python, with the code on its path.
    """

    def __init__(self, logs: Path, ranks: int, hours: float, signal_seconds: int, python: str | None = None) -> None:
        super().__init__(logs, python=python)
        self.logs = logs
        self.update_parameters(
            tasks_per_node=ranks, timeout_min=hours * 60, signal_delay_s=signal_seconds, stderr_to_stdout=True
        )

    def _submit_command(self, command: str) -> LocalJob[Any]:
        ranks = self.parameters["tasks_per_node"]
        lock = _lock(self.logs)
        environment = {
            **_without_scheduler(dict(os.environ)),
            "SUBMITIT_EXECUTOR": "local",
            "SUBMITIT_LOCAL_NTASKS": str(ranks),
            "SUBMITIT_LOCAL_COMMAND": command,
            "SUBMITIT_LOCAL_TIMEOUT_S": str(int(60 * self.parameters["timeout_min"])),
            "SUBMITIT_LOCAL_SIGNAL_DELAY_S": str(self.parameters["signal_delay_s"]),
            "SUBMITIT_LOCAL_NODEID": "0",
            "SUBMITIT_LOCAL_JOB_NUM_NODES": "1",
            "SUBMITIT_LOCAL_WITH_SHELL": "",
            "SUBMITIT_STDERR_TO_STDOUT": "1",
            "MASTER_PORT": str(free_port()),
        }
        with open(self.logs / "controller.log", "ab") as log:
            os.fchmod(log.fileno(), 0o600)
            # A session of its own: Ctrl-C and the end of the terminal reach the command, which decides what they mean.
            process = subprocess.Popen(
                [sys.executable, "-m", "launch.local", str(self.folder)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(lock,),  # held until the controller ends, however it ends
            )
        os.close(lock)
        return LocalJob(folder=self.folder, job_id=str(process.pid), process=process, tasks=list(range(ranks)))


class Controller(_Controller):
    """Waits for the ranks; ends all of them soon after one fails, as the others would wait for it in a collective."""

    def wait(self, freq: int = 24) -> Sequence[int | None]:
        start = time.monotonic()
        failed_at: float | None = None
        warned = False
        while True:
            codes = [task.poll() for task in self.tasks]
            now = time.monotonic() - start
            if all(code is not None for code in codes) or now > self.timeout_s:
                break
            if failed_at is None and any(codes):
                failed_at = now
            if failed_at is not None and now > failed_at + GRACE:
                break
            if not warned and now > self.timeout_s - self.signal_delay_s:
                warned = True
                self._forward_signal(LocalJobEnvironment._usr_sig())
            time.sleep(1 / freq)
        self._record_killed(codes)
        self.exit_codes = codes
        return codes

    def _record_killed(self, codes: Sequence[int | None]) -> None:
        for rank, code in enumerate(codes):
            if code is not None and code < 0:
                name = signal.Signals(-code).name
                hint = " (out of memory?)" if name == "SIGKILL" else ""
                record(
                    self.folder,
                    Failure(
                        job_id=self.pid,
                        rank=rank,
                        host=socket.gethostname(),
                        message=f"killed by {name}{hint}",
                        exit_code=1,
                        killed=True,
                        log=str(self.folder / rank_log(rank)),
                    ),
                )


def _lock(logs: Path) -> int:
    """A lock on the run that is held as long as its controller runs."""
    file = os.open(logs / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if try_lock(file, logs / LOCK):
            return file
        raise UserError(f"the run {logs.parent} is already being trained on this machine; wait for it or stop it")
    except BaseException:
        os.close(file)
        raise


def _without_scheduler(environment: dict[str, str]) -> dict[str, str]:
    """A local job that is started inside an allocation must not use that allocation's variables."""
    return {key: value for key, value in environment.items() if not key.startswith(("SLURM_", "PMI_", "PMIX_"))}


def _notify_failure(run: Path, controller: Controller) -> None:
    """A rank that failed cannot: it may have been killed. Rank 0 does so at a good end."""
    requested = submissions.last_request(submissions.read(run))
    if requested is not None and any(code != 0 for code in controller.exit_codes):
        cause = root_cause(read(controller.folder, str(controller.pid)))
        notify(requested[0].notify, run, "failed", cause.message if cause is not None else "")


def main(folder: str) -> int:
    controller = Controller(Path(folder))
    controller.run()
    _notify_failure(Path(folder).parent, controller)
    return 1 if any(code != 0 for code in controller.exit_codes) else 0
