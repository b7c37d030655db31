"""The reply to a recording: one object with all of its windows, or a line for each as soon as it is answered."""

from __future__ import annotations

import json
from typing import Any

from dual_hpc.serving.replies import JSON, JSON_LINES, reply, start
from dual_hpc.token_required import Send


class AnswerReply:
    """A reply that grows.

    Args:
        stream: send each line at once.

    Attributes:
        begun: something was sent, so that its status cannot be changed any more.
        count: lines so far.
    """

    def __init__(self, send: Send, stream: bool) -> None:
        self._send, self._stream = send, stream
        self._lines: list[str] = []
        self.begun, self.count = False, 0

    async def add(self, line: str) -> None:
        """One line of `predict`."""
        self.count += 1
        if not self._stream:
            self._lines.append(line)
            return
        await self._begin()
        await self._send({"type": "http.response.body", "body": line.encode() + b"\n", "more_body": True})

    async def finish(self, head: dict[str, Any], rest: dict[str, Any]) -> None:
        """What stands before and after the windows, and the end."""
        if self._stream:
            await self.end(json.dumps({**head, **rest}).encode() + b"\n")
            return
        windows = [json.loads(line) for line in self._lines]
        await reply(self._send, 200, JSON, json.dumps({**head, "windows": windows, **rest}).encode() + b"\n")

    async def end(self, last: bytes) -> None:
        """The last line of a stream."""
        await self._begin()
        await self._send({"type": "http.response.body", "body": last})

    async def _begin(self) -> None:
        if not self.begun:
            self.begun = True
            await start(self._send, 200, JSON_LINES, {})
