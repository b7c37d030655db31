"""Ranks started by fork: a fork server imports torch and DeepSpeed once, and does nothing but fork.

Importing them costs seconds of a processor, more than the work of most ranks that tests start. A forked rank is a
process like any other, with memory, signals and a process group of its own; what it shares with its siblings is what
was imported and the seed of Python's hashes. So a test whose point is that processes agree starts them from two
fork servers.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

# What a rank would import, also late: DeepSpeed looks at Muon, whose module brings torch's compiler.
IMPORTS = (
    *("dual_hpc.training.loop", "dual_hpc.training.build", "dual_hpc.model.build", "dual_hpc.model.saved"),
    *("dual_hpc.model.dual.model", "dual_hpc.model.losses.cross_entropy"),
    *(f"dual_hpc.model.encoders.{kind}" for kind in ("audio.logmel", "video.resnet", "language", "features")),
    *("av", "soundfile", "transformers.models.bert.modeling_bert", "deepspeed.module_inject.auto_ep_layer"),
    *("deepspeed.runtime.zero.muon.muon_optimizer", "deepspeed.runtime.superoffload.superoffload_stage3", "setuptools"),
)
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "DS_ACCELERATOR": "cpu"}
_MESSAGE = 1 << 20


class Rank:
    """A forked process; the part of `subprocess.Popen` that is needed of it."""

    def __init__(self, fork_server: ForkServer, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None  # negative: the signal
        self._server = fork_server

    def poll(self) -> int | None:
        """The exit code; None as long as it runs."""
        if self.returncode is None:
            self._server.receive(0)
        return self.returncode

    def wait(self, timeout: float = 600) -> int:
        """Its exit code.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        deadline = time.monotonic() + timeout
        while self.returncode is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"rank with process number {self.pid}", timeout)
            self._server.receive(1)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Nothing if it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """`kill -9`."""
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """The process that forks; ends, with all its ranks, when this object's process does."""

    def __init__(self, imports: Sequence[str] = IMPORTS, **environ: str) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket, self._ranks = ours, dict[int, Rank]()
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno()), *imports],
            env={**os.environ, **ENVIRONMENT, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
        )
        theirs.close()

    def start(self, script: Path, arguments: Sequence[object], environ: Mapping[str, str], output: Path) -> Rank:
        """Run a Python script as a fresh interpreter would; standard output and error are appended to `output`."""
        order = {"argv": [str(script), *map(str, arguments)], "environ": dict(environ), "output": str(output)}
        self._socket.send(json.dumps(order).encode())
        before = set(self._ranks)
        while not set(self._ranks) - before:
            self.receive(None)
        return self._ranks[(set(self._ranks) - before).pop()]

    def receive(self, timeout: float | None) -> None:
        """Receive the server's messages; returns after `timeout` seconds or the first message."""
        while select.select([self._socket], [], [], timeout)[0]:
            try:
                message = self._socket.recv(_MESSAGE)
            except ConnectionResetError:
                message = b""
            if not message:
                raise RuntimeError(f"the fork server has ended with exit code {self._process.wait()}")
            pid, code = json.loads(message)
            if code is None:
                self._ranks[pid] = Rank(self, pid)
            else:
                self._ranks.pop(pid).returncode = code
            timeout = 0

    def close(self) -> None:
        """Kill what still runs and end."""
        self._socket.close()
        self._process.wait()
        for rank in self._ranks.values():
            rank.returncode = -signal.SIGKILL
        self._ranks.clear()


@cache
def shared() -> ForkServer:
    """One for all tests of this process."""
    fork_server = ForkServer()
    atexit.register(fork_server.close)
    return fork_server


def _serve(orders: socket.socket) -> dict[str, Any] | None:
    """Fork for every order. Returns in each child, with its order, and at the end in the parent, with None."""
    signals = select.poll()
    signals.register(orders, select.POLLIN)
    children: dict[int, int] = {}  # descriptor of the process -> its number
    while True:
        for descriptor, _ in signals.poll():
            if descriptor in children:
                pid = children.pop(descriptor)
                signals.unregister(descriptor)
                os.close(descriptor)
                _, status = os.waitpid(pid, 0)
                _report(orders, pid, os.waitstatus_to_exitcode(status))
                continue
            message = orders.recv(_MESSAGE)
            if not message:
                for pid in children.values():
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                return None
            pid = os.fork()
            if pid == 0:
                orders.close()
                for child in children:
                    os.close(child)
                return dict(json.loads(message))
            children[os.pidfd_open(pid)] = pid
            signals.register(next(reversed(children)), select.POLLIN)
            _report(orders, pid, None)


def _report(orders: socket.socket, pid: int, code: int | None) -> None:
    with suppress(OSError):  # the client is gone: the next read returns the end
        orders.send(json.dumps([pid, code]).encode())


def _run_rank(order: Mapping[str, Any]) -> None:
    output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.close(output)
    os.environ.update(order["environ"])
    sys.argv = order["argv"]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))  # what ranks run may import from `tests`
    for name in sys.argv[2:]:
        importlib.import_module(name)
    if (mine := _serve(socket.socket(fileno=int(sys.argv[1])))) is not None:
        _run_rank(mine)
