"""`dual-hpc ui`: MLflow on the store's database, for this machine alone."""

from __future__ import annotations

import argparse

EXAMPLES = """\
examples:
  dual-hpc ui                          # the default store
  dual-hpc ui --store demo/store --port 5001
  ssh -L 5000:127.0.0.1:5000 cluster   # on your own machine, to see a cluster's
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", metavar="DIR", help="default: $DUAL_STORE, else a folder in $SCRATCH or $WORK")
    parser.add_argument("--port", type=int, default=0, metavar="N", help="default: 5000, or a free one")
    parser.add_argument("--print", action="store_true", help="print the command and do not start it")


def run(args: argparse.Namespace) -> int:
    import os
    import shlex
    import sys
    from pathlib import Path

    from dual_hpc.config.paths import default_store, mlflow_uri
    from dual_hpc.errors import UserError
    from dual_hpc.tracking.mlflow_store import newest_experiment

    store = Path(args.store) if args.store else default_store()
    if not (store / "mlflow.db").exists():
        raise UserError(
            f"{store} has no mlflow.db: no run was tracked there yet (--store or DUAL_STORE names another store)"
        )
    if not 0 <= args.port < 2**16:
        raise UserError(f"--port {args.port}: must be between 0 and 65535")
    port = free_port(args.port or 5000)
    if args.port not in (0, port):
        raise UserError(f"--port {args.port} is taken on this machine; without --port a free one is found")
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", mlflow_uri(store)]
    command += ["--default-artifact-root", (store.resolve() / "mlartifacts").as_uri()]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    print(shlex.join(command), flush=True)
    if args.print:
        return 0
    # Without the last part of the address MLflow opens its interface for language models, which shows no runs.
    newest = newest_experiment(store / "mlflow.db")
    place = "experiments" if newest is None else f"experiments/{newest}/runs"
    address = f"http://127.0.0.1:{port}/#/{place}?workflowType=machine_learning"
    print(f"MLflow will answer on {address} (Ctrl-C ends it)", flush=True)
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # a dozen processes for features that are not used here
    os.execv(command[0], command)


def free_port(wanted: int) -> int:
    """`wanted` if nothing listens there, else any free port of this machine."""
    import socket

    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port on 127.0.0.1")
