"""The model's turns: it answers one recording after the other, in the order in which they asked."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import Any

from dual_hpc.serving.model_process import Abandoned, ModelProcess
from dual_hpc.serving.replies import Refusal
from dual_hpc.serving.worker import Job

Lines = asyncio.Queue[str | None]  # of an answer; None follows the last


class Turns:
    """A model for many requests, of one event loop."""

    def __init__(self, model: ModelProcess) -> None:
        self._model, self._turn = model, asyncio.Lock()

    async def answer(self, job: Job, deadline: float, lines: Lines) -> dict[str, Any]:
        """Wait for the turn of a recording and have it answered; cancelled, the model is let go first.

        The lines are queued, so that a client who does not read them keeps nobody else waiting.

        Args:
            deadline: of the event loop's clock.

        Returns:
            What follows the lines.

        Raises:
            Refusal: see `ModelProcess.answer`; or the turn does not come in time.
        """
        loop = asyncio.get_running_loop()
        try:
            try:
                await asyncio.wait_for(self._turn.acquire(), max(0.0, deadline - loop.time()))
            except TimeoutError:
                raise Refusal(503, "other recordings took all of the time", {"retry-after": "30"}) from None
            try:
                return await self._ask(job, max(0.0, deadline - loop.time()), lines)
            finally:
                self._turn.release()
        finally:
            lines.put_nowait(None)

    async def _ask(self, job: Job, seconds: float, lines: Lines) -> dict[str, Any]:
        loop, abandoned, until = asyncio.get_running_loop(), threading.Event(), time.monotonic() + seconds

        def tell(line: str) -> None:
            loop.call_soon_threadsafe(lines.put_nowait, line)

        asked = loop.run_in_executor(None, self._model.answer, job, until, abandoned, tell)
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            abandoned.set()
            with contextlib.suppress(Refusal, Abandoned):
                await asked
            raise
