"""What the server says: JSON, files of the page, refusals; with headers that keep other pages out."""

from __future__ import annotations

import asyncio
import contextlib
import json

from dual_hpc.errors import one_line
from dual_hpc.token_required import Receive, Send

JSON = "application/json"
JSON_LINES = "application/x-ndjson"

# The page uses its own files only; its player reads the recording that the user has chosen, from the user's disk.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; media-src blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}


class Refusal(Exception):
    """A request that is not answered.

    Attributes:
        status: of HTTP.
        message: one line: what is wrong, and what to send instead.
        headers: further ones of the reply.
    """

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, one_line(message, 600), headers or {}


async def start(send: Send, status: int, kind: str, headers: dict[str, str]) -> None:
    """Send the head of a reply."""
    every = {"content-type": kind, **SECURITY_HEADERS, **headers}
    raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in every.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})


async def reply(send: Send, status: int, kind: str, body: bytes, headers: dict[str, str] | None = None) -> None:
    """Send a whole reply."""
    await start(send, status, kind, {"content-length": str(len(body)), **(headers or {})})
    await send({"type": "http.response.body", "body": body})


async def refuse(refusal: Refusal, receive: Receive, send: Send, linger: float) -> None:
    """Send a refusal as JSON, then throw away what the client still sends, for `linger` seconds at most, and hang up.

    Closing the connection at once would be a reset for a client that is still sending, and the refusal lost.
    """
    body = error_json(refusal)
    headers = {"content-length": str(len(body)), "connection": "close", **refusal.headers}
    await start(send, refusal.status, JSON, headers)
    await send({"type": "http.response.body", "body": body, "more_body": True})
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(linger):
            while (message := await receive())["type"] == "http.request" and message.get("more_body"):
                pass
    await send({"type": "http.response.body", "body": b""})


def error_json(refusal: Refusal) -> bytes:
    """A refusal as one line of JSON."""
    return json.dumps({"error": refusal.message, "status": refusal.status}).encode() + b"\n"
