"""MLflow's server, and a training that reports to it, as processes that can be killed and started again at once.

`python -m tests.distributed.workers.tracking_server` reads commands from standard input, a line of JSON each, forks a
child for it and prints the child's process id: forking costs nothing, importing MLflow seconds.

    {"serve": "DATABASE", "port": 5000}
    {"train": "RUN", "steps": 200, "seconds": 0.05}
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def serve(database: str, port: int) -> None:
    """Answer on 127.0.0.1, without artifacts. As `mlflow server` it creates its tables before it answers anybody."""
    from mlflow.server import ARTIFACT_ROOT_ENV_VAR, BACKEND_STORE_URI_ENV_VAR

    uri, artifacts = f"sqlite:///{database}", Path(database).with_name("artifacts").as_uri()
    os.environ[BACKEND_STORE_URI_ENV_VAR], os.environ[ARTIFACT_ROOT_ENV_VAR] = uri, artifacts
    import uvicorn
    from mlflow.server.fastapi_app import app
    from mlflow.server.handlers import initialize_backend_stores

    initialize_backend_stores(uri, uri, artifacts)

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="critical", access_log=False)


def train(folder: str, steps: int, seconds: float) -> None:
    """Steps that take `seconds`; whoever goes on repeats those since the last tenth, as after a checkpoint."""
    from dual_hpc.run.directory import RunDir, Segment
    from dual_hpc.run.journal import Journal, read
    from dual_hpc.tracking.synchroniser import Synchroniser

    run = RunDir(folder)
    done = max((entry.step or 0 for entry in read(run.journal)), default=0) // 10 * 10
    job = str(os.getpid())
    journal, synchroniser = Journal(run.journal), Synchroniser(run, 0.2).start()
    run.append_segment(Segment(event="start", job_id=job, step=done))
    journal.event("start", done, total_steps=steps)
    for step in range(done + 1, steps + 1):
        begun = time.perf_counter()
        time.sleep(seconds)
        journal.metrics(step, {"train/loss": 1 / step, "train/step_seconds": time.perf_counter() - begun})
        if step % 10 == 0:
            journal.metrics(step, {"val/av/ua": step / steps})
    journal.event("end", steps, reason="finished")
    run.append_segment(Segment(event="end", job_id=job, step=steps, reason="finished"))
    journal.close()
    synchroniser.close(timeout=120)


def main() -> None:
    """Obey standard input; a child that ends is reaped by whoever asks next."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    os.environ["_MLFLOW_SGI_NAME"] = "uvicorn"
    import mlflow.server.fastapi_app
    import mlflow.store.tracking.sqlalchemy_store
    import uvicorn

    import dual_hpc.tracking.synchroniser  # noqa: F401

    assert mlflow and uvicorn
    print("ready", flush=True)
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        child = os.fork()
        if child == 0:
            sys.stdin.close()
            if "serve" in asked:
                serve(asked["serve"], asked["port"])
            else:
                train(asked["train"], asked["steps"], asked["seconds"])
            os._exit(0)
        print(child, flush=True)


if __name__ == "__main__":
    main()
