"""MLflow's server for one user: on 127.0.0.1, where everybody of the machine can connect, behind a token.

MLflow itself asks nobody who he is. Without the token all users of a login node could change and delete what is
tracked, read any file of the user's as an artifact, and start MLflow's assistant in his name.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from dual_hpc.config.paths import mlflow_uri
from dual_hpc.files.real_path import real_path
from dual_hpc.token_required import TokenRequired


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
    os.environ[ARTIFACT_ROOT_ENV_VAR] = (real_path(store) / "mlartifacts").as_uri()
    os.chdir(store)  # what MLflow writes beside its data belongs there, not where the command was given
    from mlflow.server.fastapi_app import app

    guarded = TokenRequired(app, token, f"dual-hpc-{listener.getsockname()[1]}", "dual-hpc ui")
    # No access log: it would show the token.
    config = uvicorn.Config(guarded, log_level="warning", access_log=False, server_header=False)
    uvicorn.Server(config).run(sockets=[listener])
