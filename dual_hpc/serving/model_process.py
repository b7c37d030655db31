"""The server's side of the worker: start it, give it one recording at a time, end it where it takes too long."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from threading import Event as Flag
from typing import Any

from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.serving.replies import Refusal
from dual_hpc.serving.worker import STOP, Event, Job, ModelFacts, ModelSource, work

_LOADING = 900.0  # seconds for which a model may load
_LOOK = 0.05  # seconds from one look at the clock to the next
_GRACE = 3.0  # seconds in which a worker may end an answer itself, after its current windows


class Abandoned(Exception):
    """Nobody waits for the answer any more."""


class ModelProcess:
    """A model in a process of its own; for one thread at a time.

    Attributes:
        restarts: how often the process had to be started again.
    """

    def __init__(self, source: ModelSource) -> None:
        self._source = source
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self.restarts = 0

    def start(self) -> ModelFacts:
        """Start it and wait until the model is loaded.

        Raises:
            UserError: there is no such model, or it cannot be served like this.
            EnvironmentFault: the machine's fault.
        """
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs, self._source), name="dual-hpc-model", daemon=True)
        self._process.start()
        theirs.close()
        event = self._next(time.monotonic() + _LOADING, None)
        if event is not None and event.kind == "ready":
            facts: ModelFacts = event.content
            return facts
        self.close()
        if event is None:
            raise EnvironmentFault(f"--model: {self._source.folder} was not loaded within {_LOADING:g} s")
        died = (1, f"--model: the process that was loading it ended ({event.content})")
        code, message = event.content if event.kind == "failed" else died
        raise (UserError if code == UserError.exit_code else EnvironmentFault)(message)

    def answer(self, job: Job, deadline: float, abandoned: Flag, tell: Callable[[str], None]) -> dict[str, Any]:
        """Answer a recording; the model's process is then as good as before, or will be started again.

        Args:
            deadline: of `time.monotonic`.
            abandoned: set by another thread when nobody waits any more.
            tell: is given each line of JSON.

        Returns:
            What follows the lines.

        Raises:
            Refusal: it cannot be read, took too long, or made the process end.
            Abandoned: see above.
        """
        if self._process is None or not self._process.is_alive():
            self.close()
            self.restarts += 1
            try:
                self.start()
            except (UserError, EnvironmentFault) as error:
                raise Refusal(503, f"the model cannot be loaded again: {error}") from error
        assert self._connection is not None
        self._connection.send(job)
        while True:
            event = self._next(deadline, abandoned)
            if event is None:
                self._stop()
                if abandoned.is_set():
                    raise Abandoned
                raise Refusal(504, "the answer took longer than this server allows; send a shorter part (start, end)")
            if event.kind == "line":
                tell(event.content)
            elif event.kind == "done":
                rest: dict[str, Any] = event.content
                return rest
            elif event.kind == "refused":
                raise Refusal(*event.content)
            else:
                raise Refusal(
                    500, f"the model's process ended at this recording ({event.content}), and is started again"
                )

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = None

    def _next(self, deadline: float, abandoned: Flag | None) -> Event | None:
        """The next event; None where it does not come in time; `died` with the reason where the process has ended."""
        assert self._connection is not None and self._process is not None
        while True:
            if time.monotonic() > deadline or (abandoned is not None and abandoned.is_set()):
                return None
            if self._connection.poll(_LOOK):
                break
        try:
            event: Event = self._connection.recv()
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode or 0
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            self.close()
            return Event("died", how)
        return event

    def _stop(self) -> None:
        """Have the worker leave its answer; where it does not within `_GRACE`, end it."""
        assert self._connection is not None
        try:
            self._connection.send(STOP)
        except OSError:
            self.close()
            return
        end = time.monotonic() + _GRACE
        while (event := self._next(end, None)) is not None:
            if event.kind in ("stopped", "done", "refused", "died"):
                return
        self.close()
