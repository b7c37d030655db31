"""Who works on a run: `lease.json` in its directory, with a heartbeat, so that two jobs never write the same run.

Slurm can start a job again while processes of its former life still run on a node it has lost. Such a zombie cannot
be ended from here, but it can be kept from publishing: whoever takes the lease puts a new token into it, and a holder
looks for its own token before every commit, metric and export. What lies between that look and a checkpoint's rename is
covered by `dual_hpc.checkpoint.commit`: whoever takes the run over sweeps unfinished checkpoints away first.
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

from pydantic import BaseModel, ConfigDict, ValidationError

from dual_hpc.errors import DualError, EnvironmentFault, UserError
from dual_hpc.group import Group
from dual_hpc.run import names
from dual_hpc.run.this_job import restart_count

BEAT_SECONDS = 10.0
SILENT_SECONDS = 60.0  # after which a lease without heartbeat is taken


class Holder(BaseModel):
    """The content of `lease.json`.

    Attributes:
        incarnation: how often Slurm has started the job before.
        machine: host, boot and process namespace: where `pid` means something.
        born: start time of the process in clock ticks since boot, as numbers of processes are used again.
        beat: counts up while the holder lives.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    token: str
    job_id: str
    incarnation: int
    machine: str
    pid: int
    born: str
    beat: int = 0


class _Unreadable(EnvironmentFault):
    """Who holds the lease cannot be seen just now."""


def judge(holder: Holder | None, me: Holder, lives: Callable[[Holder], bool]) -> Literal["take", "watch", "leave"]:
    """What to do about the present holder: take the lease, watch its heartbeat first, or leave the run to it."""
    if holder is None:
        return "take"
    if holder.job_id == me.job_id and holder.incarnation != me.incarnation:
        return "take" if holder.incarnation < me.incarnation else "leave"  # Slurm has ended the earlier one
    if holder.machine == me.machine:
        return "leave" if lives(holder) else "take"
    return "watch"


class Lease:
    """Held from `acquire` to `release`; the heartbeat ends the process when the lease is lost."""

    def __init__(self, folder: Path, me: Holder, lost: Callable[[str], None]) -> None:
        self._file, self._me, self._lost = folder / names.LEASE, me, lost
        self._done = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="lease", daemon=True)

    @classmethod
    def acquire(
        cls, folder: Path, job_id: str, incarnation: int, lost: Callable[[str], None], silent: float = SILENT_SECONDS
    ) -> Lease:
        """Take the lease of a run; waits up to `silent` seconds for the heartbeat of a holder on another machine.

        Args:
            lost: called, in a thread, when someone else has taken the lease.

        Raises:
            UserError: a living job works on the run.
            EnvironmentFault: the folder cannot be written.
        """
        me = _myself(job_id, incarnation)
        lease = cls(folder, me, lost)
        holder = _read(lease._file)
        decision = judge(holder, me, _lives)
        if decision == "watch" and not _is_silent(lease._file, holder, silent):
            decision = "leave"
        if decision == "leave":
            assert holder is not None
            raise UserError(
                f"job {holder.job_id} works on this run (process {holder.pid} on {holder.machine.partition(' ')[0]}); "
                "wait for it, or end it with `dual-hpc stop`"
            )
        lease._write()
        lease._heart.start()
        return lease

    def check(self) -> None:
        """Make sure that the lease is still ours.

        Raises:
            EnvironmentFault: another job has taken it, or it cannot be read.
        """
        holder = _read(self._file)
        if holder is None or holder.token != self._me.token:
            by = f"job {holder.job_id} (restart {holder.incarnation})" if holder else "someone who removed the lease"
            raise EnvironmentFault(f"this run was taken over by {by}; this process publishes nothing more")

    def release(self) -> None:
        """Give the lease back, if it is still ours."""
        self._done.set()
        self._heart.join()
        with contextlib.suppress(EnvironmentFault, OSError):
            self.check()
            self._file.unlink()

    def _beat(self) -> None:
        while not self._done.wait(BEAT_SECONDS):
            try:
                self.check()
            except _Unreadable:
                continue  # a file system that is away for a moment has taken nothing over; publishing looks again
            except EnvironmentFault as error:
                return self._lost(str(error))
            self._me = self._me.model_copy(update={"beat": self._me.beat + 1})
            with contextlib.suppress(EnvironmentFault):  # a full disk for a moment; the next beat tries again
                self._write()
        return None

    def _write(self) -> None:
        temporary = self._file.with_name(f".{names.LEASE}.{self._me.token}")
        try:
            temporary.write_text(self._me.model_dump_json() + "\n", encoding="utf-8")
            os.replace(temporary, self._file)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise EnvironmentFault(f"{self._file} cannot be written: {error.strerror}") from error


@contextmanager
def held(folder: Path, world: Group, job_id: str, lost: Callable[[str], None]) -> Iterator[Callable[[], None]]:
    """Hold the lease of a run for all ranks (collective). Yields `check`, which does nothing on other ranks than 0.

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
    """True if the heartbeat does not move for so long: no clocks of two machines are compared."""
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
    """None if nobody holds it; a damaged file holds nobody."""
    try:
        return Holder.model_validate_json(file.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    except OSError as error:
        raise _Unreadable(f"{file} cannot be read: {error.strerror}") from error


def _myself(job_id: str, incarnation: int) -> Holder:
    boot = _first_line("/proc/sys/kernel/random/boot_id")
    with contextlib.suppress(OSError):
        boot += " " + os.readlink("/proc/self/ns/pid")
    machine, pid = f"{socket.gethostname()} {boot}", os.getpid()
    token = uuid.uuid4().hex
    return Holder(token=token, job_id=job_id, incarnation=incarnation, machine=machine, pid=pid, born=_born(pid))


def _lives(holder: Holder) -> bool:
    return _born(holder.pid) == holder.born != ""


def _born(pid: int) -> str:
    """Start time of a process; empty if there is none, or if it only waits to be buried."""
    fields = _first_line(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 and fields[0] not in "ZX" else ""


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readline().strip()
    except OSError:
        return ""
