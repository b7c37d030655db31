"""An ASGI application for one user on 127.0.0.1, where everybody of the machine can connect: behind a token."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class TokenRequired:
    """An ASGI application that answers only who has the token.

    A browser brings it once, as `?token=...`, and then a cookie; a program as `Authorization: Bearer ...`, as a client
    of MLflow does with `MLFLOW_TRACKING_TOKEN`.

    Args:
        command: that has printed the address with the token.
    """

    def __init__(self, app: App, token: str, cookie: str, command: str) -> None:
        self._app, self._token, self._cookie = app, token, cookie
        text = f"This server wants a token: open the address that `{command}` has printed, which has it.\n"
        self._refusal = text.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or (scope["type"] == "http" and self._is_known(scope)):
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if scope["method"] == "GET" and any(self._is_token(value) for name, value in query if name == "token"):
            rest = urlencode([(name, value) for name, value in query if name != "token"])
            headers = [
                (b"location", f"/{quote(scope['path'].lstrip('/'))}{'?' if rest else ''}{rest}".encode()),
                (b"set-cookie", f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict".encode()),
                (b"referrer-policy", b"no-referrer"),
            ]
            return await _answer(send, 303, b"", headers)
        return await _answer(send, 401, self._refusal, [(b"www-authenticate", b"Bearer")])

    def _is_known(self, scope: Scope) -> bool:
        for name, value in scope["headers"]:
            text = value.decode("latin-1")
            if name == b"authorization" and self._is_token(text.removeprefix("Bearer ")):
                return True
            if name == b"cookie":
                try:
                    found = SimpleCookie(text).get(self._cookie)
                except CookieError:
                    continue
                if found is not None and self._is_token(found.value):
                    return True
        return False

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), self._token.encode())


async def _answer(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    plain = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store"), *headers]
    await send({"type": "http.response.start", "status": status, "headers": plain})
    await send({"type": "http.response.body", "body": body})
