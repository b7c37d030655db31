"""The ASGI application: the page, what is known of the model, its health, and `POST /predict`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dual_hpc import __version__
from dual_hpc.errors import one_line
from dual_hpc.serving.access import check_access
from dual_hpc.serving.answer_reply import AnswerReply
from dual_hpc.serving.limits import Limits, size_text
from dual_hpc.serving.model_process import Abandoned, ModelProcess
from dual_hpc.serving.options import RequestOptions, parse_options
from dual_hpc.serving.page_files import page_files
from dual_hpc.serving.replies import JSON, Refusal, error_json, refuse, reply
from dual_hpc.serving.turns import Lines, Turns
from dual_hpc.serving.upload import Upload, boundary_of, receive_upload
from dual_hpc.serving.worker import Job, ModelFacts
from dual_hpc.token_required import Message, Receive, Scope, Send

Log = Callable[[str], None]
_LATE = 10.0  # seconds after its time limit in which an answer may still be sent


class Service:
    """Answers recordings with one model, one after the other, in the order in which their uploads were complete.

    Args:
        name: of the model, for people.
        scratch: where recordings lie while they are answered.
        names: of this machine, by which others may call it.
        log: is given one line for each request.

    Attributes:
        answered: recordings so far.
    """

    def __init__(
        self,
        model: ModelProcess,
        facts: ModelFacts,
        name: str,
        scratch: Path,
        limits: Limits,
        names: Sequence[str],
        log: Log,
    ) -> None:
        self._model, self._facts, self._name = model, facts, name
        self._scratch, self._limits, self._names, self._log = scratch, limits, names, log
        self._page = page_files()
        self._turns = Turns(model)
        self._requests = 0
        self.answered = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        what, begun = f"{scope['method']} {scope['path']}", False

        async def tell(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            check_access(scope["method"], headers, self._names)
            await self._route(scope, headers, receive, tell)
        except (Abandoned, ConnectionError):
            self._log(f"{what}: the client has hung up")
        except Exception as error:
            if begun:
                raise
            internal = Refusal(500, f"internal error: {type(error).__name__}")
            refusal = error if isinstance(error, Refusal) else internal
            self._log(f"{what}: {refusal.status} {one_line(error) if refusal is internal else refusal.message}")
            await refuse(refusal, receive, send, self._limits.linger)

    async def _route(self, scope: Scope, headers: dict[str, str], receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        gets: dict[str, Callable[[], dict[str, Any]]] = {"/health": self._health, "/model": self._about}
        allowed = "POST" if path == "/predict" else "GET" if path in self._page or path in gets else None
        if allowed is None:
            raise Refusal(404, f"{path}: there is nothing here; the page is /, recordings are sent to /predict")
        if method != allowed and (method, allowed) != ("HEAD", "GET"):
            raise Refusal(405, f"{path}: takes {allowed}, not {method}", {"allow": allowed})
        if path == "/predict":
            if scope["query_string"]:
                raise Refusal(400, "options are sent as fields of the form, not in the address (curl -F window=6)")
            await self._predict(headers, receive, send)
        elif path in gets:
            await reply(send, 200, JSON, json.dumps(gets[path]()).encode() + b"\n")
        else:
            await reply(send, 200, self._page[path].kind, self._page[path].content)

    def _health(self) -> dict[str, Any]:
        return {
            "status": "ok",
            "model": self._name,
            "version": __version__,
            "requests": self._requests,
            "most_requests": self._limits.requests,
            "answered": self.answered,
            "restarts": self._model.restarts,
        }

    def _about(self) -> dict[str, Any]:
        limits = {"max_upload": self._limits.upload, "seconds": self._limits.seconds}
        return {"model": self._name, **asdict(self._facts), **limits}

    async def _predict(self, headers: dict[str, str], receive: Receive, send: Send) -> None:
        boundary_of(headers, self._limits)  # what the head says suffices to refuse most of what is too large
        if self._requests >= self._limits.requests:
            raise Refusal(503, "too many requests at the same time; try again in a few seconds", {"retry-after": "5"})
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._limits.seconds
        self._requests += 1
        try:
            with tempfile.TemporaryDirectory(dir=self._scratch, ignore_cleanup_errors=True) as folder:
                upload = await receive_upload(receive, headers, Path(folder), self._limits, deadline)
                options = parse_options(upload.fields)
                await self._answer(upload, options, deadline, receive, send)
        finally:
            self._requests -= 1

    async def _answer(
        self, upload: Upload, options: RequestOptions, deadline: float, receive: Receive, send: Send
    ) -> None:
        """Wait for the model's turn, and send its answer: whole, or line by line."""
        began, lines, answer = time.monotonic(), Lines(), AnswerReply(send, options.stream)
        work = asyncio.create_task(self._turns.answer(Job(upload.path, upload.name, options), deadline, lines))
        sending = asyncio.create_task(self._send(answer, lines, work, upload.name))
        hung_up = asyncio.create_task(_disconnect(receive))
        try:
            left = deadline - asyncio.get_running_loop().time() + _LATE
            await asyncio.wait({sending, hung_up}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                raise Abandoned
            sending.result()
            self.answered += 1
            took = time.monotonic() - began
            self._log(f"{upload.name}: {size_text(upload.size)}, {answer.count} answers in {took:.1f} s")
        except Refusal as refusal:
            if not answer.begun:
                raise
            self._log(f"{upload.name}: {refusal.status} {refusal.message}")
            await answer.end(error_json(refusal))
        finally:
            for task in (hung_up, sending, work):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Refusal, Abandoned):
                    await task

    async def _send(self, answer: AnswerReply, lines: Lines, work: asyncio.Task[dict[str, Any]], name: str) -> None:
        while (line := await lines.get()) is not None:
            await answer.add(line)
        await answer.finish({"input": name, "model": self._name, "labels": self._facts.labels}, await work)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
