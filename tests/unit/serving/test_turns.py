"""One recording at a time; who does not read an answer, or does not want it any more, keeps nobody waiting."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from dual_hpc.serving.limits import Limits
from dual_hpc.serving.model_process import ModelProcess
from dual_hpc.serving.options import RequestOptions
from dual_hpc.serving.replies import Refusal
from dual_hpc.serving.service import Service
from dual_hpc.serving.turns import Lines, Turns
from dual_hpc.serving.worker import Job, ModelFacts
from dual_hpc.token_required import Message
from tests.unit.serving.conftest import BOUNDARY, form

SLOW = RequestOptions(window=0.5, hop=0.1)
FACTS = ModelFacts(["angry"], ["#000000"], ["audio"], 2.0, 2.0, 1.0, False)


async def answered(turns: Turns, path: Path, seconds: float = 60.0) -> list[str]:
    """The lines of a quick answer."""
    lines = Lines()
    await turns.answer(Job(path, "a", RequestOptions()), asyncio.get_running_loop().time() + seconds, lines)
    found = [lines.get_nowait() for _ in range(lines.qsize())]
    assert found.pop() is None
    return [line for line in found if line is not None]


def test_a_turn_that_does_not_come_in_time_is_refused(model: ModelProcess, clips: Path) -> None:
    async def run() -> None:
        turns, lines = Turns(model), Lines()
        now = asyncio.get_running_loop().time()
        slow = asyncio.create_task(turns.answer(Job(clips / "minute.mp4", "a", SLOW), now + 60, lines))
        assert await lines.get() is not None
        with pytest.raises(Refusal) as refused:
            await answered(turns, clips / "both.mp4", 0.2)
        assert refused.value.status == 503
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        assert len(await answered(turns, clips / "both.mp4")) == 1

    asyncio.run(run())


def test_who_does_not_read_the_answer_keeps_nobody_waiting(model: ModelProcess, clips: Path, tmp_path: Path) -> None:
    async def run() -> None:
        service = Service(model, FACTS, "a", tmp_path, Limits(seconds=60), [], print)
        stuck = asyncio.Event()

        def request(**options: str) -> list[Message]:
            fields: list[tuple[str, str | None, bytes]] = [
                (name, None, text.encode()) for name, text in options.items()
            ]
            body = form([*fields, ("file", "both.mp4", (clips / "talk.mp4").read_bytes())])
            return [{"type": "http.request", "body": body, "more_body": False}]

        async def ask(messages: list[Message], reads: bool) -> bytes:
            said = b""

            async def receive() -> Message:
                if messages:
                    return messages.pop()
                await asyncio.sleep(600)
                raise AssertionError

            async def send(message: Message) -> None:
                nonlocal said
                said += message.get("body", b"")
                if not reads and said:
                    stuck.set()
                    await asyncio.sleep(600)

            headers = [(b"host", b"127.0.0.1"), (b"content-type", f"multipart/form-data; boundary={BOUNDARY}".encode())]
            scope = {"type": "http", "method": "POST", "path": "/predict", "query_string": b"", "headers": headers}
            await service(scope, receive, send)
            return said

        stalled = asyncio.create_task(ask(request(stream="true"), reads=False))
        await stuck.wait()
        begin = time.monotonic()
        answer = json.loads(await ask(request(), reads=True))
        assert len(answer["windows"]) == 7 and time.monotonic() - begin < 30
        stalled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stalled
        assert not list(tmp_path.iterdir())

    asyncio.run(run())
