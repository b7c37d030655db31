"""Which job works on a run: `lease.json` in its directory, with a heartbeat, so that two jobs never write the same run.

Slurm can requeue a job while processes of its previous start still run on a node that it has lost. Such processes
cannot be ended from here, but they can be kept from publishing: the job that takes the lease writes a new token into it
(fencing), and a holder checks for its own token before every commit, metric and export. Between that check and a
checkpoint's rename `dual_hpc.checkpoint.commit` protects the run: the new job first removes unfinished checkpoints.

A file lock (`dual_hpc.files.locks`) would not do: not every shared file system keeps locks between nodes, and a lock
that is held by a lost node would have to be broken without its holder noticing.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dual_hpc.errors import DualError, EnvironmentFault, UserError
from dual_hpc.files.regular_file import read_bytes
from dual_hpc.group import Group
from dual_hpc.run import names
from dual_hpc.run.this_job import restart_count

HEARTBEAT_SECONDS = 10.0
SILENT_SECONDS = 60.0  # without a heartbeat, after which a lease is taken


class Holder(BaseModel):
    """The content of `lease.json`; its fields keep their written names (contract 11).

    Attributes:
        restart_count: how often Slurm has started the job again.
        machine: host, boot and process namespace, within which `pid` is unique.
        start_time: of the process, in clock ticks since boot, as process ids are used again.
        heartbeat: counts up while the holder lives.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    token: str
    job_id: str
    restart_count: int = Field(alias="incarnation")
    machine: str
    pid: int
    start_time: str = Field(alias="born")
    heartbeat: int = Field(0, alias="beat")


class _Unreadable(EnvironmentFault):
    """The lease cannot be read at the moment."""


def decide(holder: Holder | None, me: Holder, is_alive: Callable[[Holder], bool]) -> Literal["take", "watch", "leave"]:
    """Take the lease, watch the holder's heartbeat first, or leave the run to the holder."""
    if holder is None:
        return "take"
    if holder.job_id == me.job_id and holder.restart_count != me.restart_count:
        return "take" if holder.restart_count < me.restart_count else "leave"  # Slurm has ended the earlier start
    if holder.machine == me.machine:
        return "leave" if is_alive(holder) else "take"
    return "watch"


class Lease:
    """Held from `acquire` to `release`; `lost` is called when another job has taken it."""

    def __init__(self, folder: Path, me: Holder, lost: Callable[[str], None]) -> None:
        self._file, self._me, self._lost = folder / names.LEASE, me, lost
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._keep_alive, name="lease", daemon=True)

    @classmethod
    def acquire(
        cls, folder: Path, job_id: str, restart_count: int, lost: Callable[[str], None], silent: float = SILENT_SECONDS
    ) -> Lease:
        """Take the lease of a run; waits up to `silent` seconds for the heartbeat of a holder on another machine.

        Args:
            lost: called, in a thread, with the reason when another job has taken the lease.

        Raises:
            UserError: another job works on the run.
            EnvironmentFault: the folder cannot be written.
        """
        me = _myself(job_id, restart_count)
        lease = cls(folder, me, lost)
        holder = _read(lease._file)
        decision = decide(holder, me, is_alive)
        if decision == "watch" and not _is_silent(lease._file, holder, silent):
            decision = "leave"
        if decision == "leave":
            assert holder is not None
            raise UserError(
                f"job {holder.job_id} works on this run (process {holder.pid} on {holder.machine.partition(' ')[0]}); "
                "wait for it, or end it with `dual-hpc stop`"
            )
        lease._write()
        lease._thread.start()
        return lease

    def check(self) -> None:
        """Make sure that this process still holds the lease.

        Raises:
            EnvironmentFault: another job has taken it, or it cannot be read.
        """
        holder = _read(self._file)
        if holder is None or holder.token != self._me.token:
            by = (
                f"job {holder.job_id} (restart {holder.restart_count})"
                if holder
                else "another process (the lease is gone)"
            )
            raise EnvironmentFault(f"this run was taken over by {by}; this process writes nothing more")

    def release(self) -> None:
        """Give the lease back, if this process still holds it."""
        self._done.set()
        self._thread.join()
        with contextlib.suppress(EnvironmentFault, OSError):
            self.check()
            self._file.unlink()

    def _keep_alive(self) -> None:
        while not self._done.wait(HEARTBEAT_SECONDS):
            try:
                self.check()
            except _Unreadable:
                continue  # a file system that does not answer for a moment; every publication checks again
            except EnvironmentFault as error:
                return self._lost(str(error))
            self._me = self._me.model_copy(update={"heartbeat": self._me.heartbeat + 1})
            with contextlib.suppress(EnvironmentFault):  # a full disk; the next heartbeat tries again
                self._write()
        return None

    def _write(self) -> None:
        temporary = self._file.with_name(f".{names.LEASE}.{self._me.token}")
        try:
            temporary.write_text(self._me.model_dump_json(by_alias=True) + "\n", encoding="utf-8")
            os.replace(temporary, self._file)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise EnvironmentFault(f"{self._file} cannot be written: {error.strerror}") from error


@contextmanager
def hold_lease(folder: Path, world: Group, job_id: str, lost: Callable[[str], None]) -> Iterator[Callable[[], None]]:
    """Hold the lease of a run for all ranks (collective). Yields its `check`, which does nothing on ranks other than 0.

    Raises:
        UserError, EnvironmentFault: on all ranks, as `Lease.acquire` on rank 0.
    """
    lease, failure = None, None
    if world.rank == 0:
        try:
            lease = Lease.acquire(folder, job_id, restart_count(), lost)
        except DualError as error:
            failure = error
    failure = world.broadcast(failure)
    if failure is not None:
        raise failure
    try:
        yield lease.check if lease is not None else lambda: None
    finally:
        if lease is not None:
            lease.release()


def _is_silent(file: Path, first: Holder | None, seconds: float) -> bool:
    """True if the heartbeat does not change for so long; no clocks of two machines are compared."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(min(1.0, seconds / 4))
        now = _read(file)
        if now is None:
            return True
        if now != first:
            return False
    return True


def _read(file: Path) -> Holder | None:
    """The holder; None if there is none, or the file is damaged."""
    try:
        return Holder.model_validate_json(read_bytes(file))
    except (FileNotFoundError, ValidationError):
        return None
    except OSError as error:
        raise _Unreadable(f"{file} cannot be read: {error.strerror}") from error


def _myself(job_id: str, restart_count: int) -> Holder:
    boot = _first_line("/proc/sys/kernel/random/boot_id")
    with contextlib.suppress(OSError):
        boot += " " + os.readlink("/proc/self/ns/pid")
    machine, pid = f"{socket.gethostname()} {boot}", os.getpid()
    token = uuid.uuid4().hex
    return Holder(
        token=token,
        job_id=job_id,
        restart_count=restart_count,
        machine=machine,
        pid=pid,
        start_time=process_start_time(pid),
    )


def is_alive(holder: Holder) -> bool:
    return process_start_time(holder.pid) == holder.start_time != ""


def process_start_time(pid: int) -> str:
    """Start time of a process; empty if there is none, or if it is a zombie."""
    fields = _first_line(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 and fields[0] not in "ZX" else ""


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readline().strip()
    except OSError:
        return ""
