"""Without the token nobody is answered; a browser brings it once, a program with every request."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dual_hpc.token_required import Receive, Scope, Send, TokenRequired

TOKEN, COOKIE = "s3cret", "dual-hpc-8000"


async def _answers(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"here"})


def ask(
    path: str = "/", query: str = "", method: str = "GET", kind: str = "http", **headers: str
) -> tuple[int, dict[str, str]]:
    """(status, headers) of the reply; of a websocket its code."""
    said: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        said.append(dict(message))

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": kind, "method": method, "path": path, "query_string": query.encode(), "headers": raw}
    asyncio.run(TokenRequired(_answers, TOKEN, COOKIE, "dual-hpc serve")(scope, receive, send))
    first = said[0]
    named = {name.decode(): value.decode() for name, value in first.get("headers", [])}
    return first.get("status", first.get("code", 0)), named


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"cookie": f"{COOKIE}=wrong"},
        {"cookie": f"other={TOKEN}"},
        {"cookie": "="},
    ],
)
def test_without_the_token_nobody_is_answered(headers: dict[str, str]) -> None:
    assert ask(**headers)[0] == 401
    assert ask(method="POST", query=f"token={TOKEN}", **headers)[0] == 401


def test_a_program_brings_it_with_every_request() -> None:
    assert ask(authorization=f"Bearer {TOKEN}")[0] == 200


def test_a_browser_brings_it_once_and_then_a_cookie() -> None:
    status, headers = ask(query=f"token={TOKEN}&window=4")
    assert status == 303 and headers["location"] == "/?window=4"
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert ask(cookie=cookie.partition(";")[0])[0] == 200


def test_no_address_of_another_server_is_led_to() -> None:
    assert ask(path="//evil.example/a", query=f"token={TOKEN}")[1]["location"] == "/evil.example/a"


def test_a_websocket_is_closed() -> None:
    assert ask(kind="websocket")[0] == 1008
