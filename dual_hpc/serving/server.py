"""Start a model's process, and answer on a socket until Ctrl-C."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Sequence

import uvicorn

from dual_hpc.serving.limits import Limits
from dual_hpc.serving.model_process import ModelProcess
from dual_hpc.serving.scratch import scratch_folder
from dual_hpc.serving.service import Service
from dual_hpc.serving.worker import ModelFacts, ModelSource
from dual_hpc.token_required import App, TokenRequired

_CONNECTIONS = 100
_LAST_SECONDS = 2  # that answers have after Ctrl-C


def serve(
    listener: socket.socket,
    source: ModelSource,
    name: str,
    limits: Limits,
    names: Sequence[str],
    token: str | None,
    ready: Callable[[ModelFacts], None],
    log: Callable[[str], None],
) -> int:
    """Serve until the process is asked to stop; the number of recordings that were answered.

    Args:
        listener: an open socket; nobody is answered before the model is loaded.
        name: of the model, for people.
        names: of this machine, by which others may call it.
        token: without which nobody is answered; None: everybody who can connect is.
        ready: is called once the model is loaded.
        log: is given one line for each request.

    Raises:
        UserError, EnvironmentFault: the model cannot be loaded.
    """
    model = ModelProcess(source)
    try:
        facts = model.start()
        with scratch_folder() as scratch:
            service = Service(model, facts, name, scratch, limits, names, log)
            app: App = service
            if token is not None:
                app = TokenRequired(service, token, f"dual-hpc-{listener.getsockname()[1]}", "dual-hpc serve")
            ready(facts)
            # h11 and asyncio whatever else is installed; the addresses that proxies claim are not believed.
            config = uvicorn.Config(
                app,
                http="h11",
                loop="asyncio",
                ws="none",
                lifespan="off",
                log_level="error",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=_CONNECTIONS,
                timeout_graceful_shutdown=_LAST_SECONDS,
            )
            with contextlib.suppress(KeyboardInterrupt):  # uvicorn has stopped, and repeats the signal
                uvicorn.Server(config).run(sockets=[listener])
            return service.answered
    finally:
        model.close()
