"""MLflow's server for one user: on 127.0.0.1, where everybody of the machine can connect, behind a token.

MLflow itself asks nobody who he is. Without the token all users of a login node could change and delete what is
tracked, read any file of the user's as an artifact, and start MLflow's assistant in his name.
"""

from __future__ import annotations

import hmac
import os
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from dual_hpc.config.paths import mlflow_uri

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_REFUSAL = b"This MLflow belongs to one user: open the address that `dual-hpc ui` has printed, with its token.\n"


class TokenRequired:
    """An ASGI application that answers only who has the token.

    A browser brings it once, as `?token=...`, and then a cookie; a client of MLflow as `MLFLOW_TRACKING_TOKEN`.
    """

    def __init__(self, app: App, token: str, cookie: str) -> None:
        self._app, self._token, self._cookie = app, token, cookie

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
        return await _answer(send, 401, _REFUSAL, [(b"www-authenticate", b"Bearer")])

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


def serve(store: Path, listener: socket.socket, token: str) -> None:
    """Answer on `listener` with MLflow on the database of a store, until Ctrl-C.

    Artifacts are read where the runs have put them; MLflow's proxy for uploads is off.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # a dozen processes for features that are not used here
    os.environ["_MLFLOW_SGI_NAME"] = "uvicorn"
    import uvicorn
    from mlflow.server import ARTIFACT_ROOT_ENV_VAR, BACKEND_STORE_URI_ENV_VAR

    os.environ[BACKEND_STORE_URI_ENV_VAR] = mlflow_uri(store)
    os.environ[ARTIFACT_ROOT_ENV_VAR] = (store.resolve() / "mlartifacts").as_uri()
    os.chdir(store)  # what MLflow writes beside its data belongs there, not where the command was given
    from mlflow.server.fastapi_app import app

    guarded = TokenRequired(app, token, f"dual-hpc-{listener.getsockname()[1]}")
    # No access log: it would show the token.
    config = uvicorn.Config(guarded, log_level="warning", access_log=False, server_header=False)
    uvicorn.Server(config).run(sockets=[listener])
