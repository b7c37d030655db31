"""`dual-hpc ui`: MLflow on the store's database, for this user alone."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from dual_hpc.files.real_path import real_path

if TYPE_CHECKING:
    import socket
    from pathlib import Path

EXAMPLES = """\
examples:
  dual-hpc ui                          # the default store
  dual-hpc ui --store demo/store --port 5001

The address that is printed has a token, without which nobody is answered: on a login node every user of the machine
can connect. A Python client takes it as MLFLOW_TRACKING_TOKEN.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", metavar="DIR", help="default: $DUAL_STORE, else a folder in $SCRATCH or $WORK")
    parser.add_argument("--port", type=int, default=0, metavar="N", help="default: 5000, or a free one")
    parser.add_argument("--print", action="store_true", help="print MLflow's own command for this store, and end")


def run(args: argparse.Namespace) -> int:
    import secrets
    from pathlib import Path

    from dual_hpc.config.paths import default_store
    from dual_hpc.errors import UserError
    from dual_hpc.tracking.mlflow_schema import check_tables, is_empty
    from dual_hpc.tracking.mlflow_store import newest_experiment
    from dual_hpc.tracking.ui_server import serve

    store = Path(args.store) if args.store else default_store()
    database = store / "mlflow.db"
    if not database.exists() or is_empty(database):
        raise UserError(
            f"{store} has no mlflow.db: no run was tracked there yet (--store or DUAL_STORE names another store)"
        )
    check_tables(database)
    if not 0 <= args.port < 2**16:
        raise UserError(f"--port {args.port}: must be between 0 and 65535")
    with listener(args.port or 5000, only=args.port != 0) as open_port:
        port = open_port.getsockname()[1]
        if args.print:
            print(own_command(store, port))
            return 0
        # Without the last part of the address MLflow opens its interface for language models, which shows no runs.
        newest = newest_experiment(database)
        place = "experiments" if newest is None else f"experiments/{newest}/runs"
        token = secrets.token_urlsafe(24)
        print(f"MLflow answers on http://127.0.0.1:{port}/?token={token}#/{place}?workflowType=machine_learning")
        print(f"from another machine, first: {tunnel(port)}\n(Ctrl-C ends it)", flush=True)
        serve(store, open_port, token)
    return 0


def listener(port: int, only: bool, host: str = "127.0.0.1") -> socket.socket:
    """An open socket of this machine on `port`; unless `only`, on any other where that is taken.

    Args:
        host: the address or name of this machine that is listened on.

    Raises:
        UserError: the port is taken, or this machine has no such address.
    """
    import errno
    import socket

    from dual_hpc.errors import UserError

    for wanted in (port,) if only else (port, 0):
        try:
            return socket.create_server((host, wanted), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        except OSError as error:
            if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
                raise UserError(f"--host {host}: this machine has no such address") from error
            if error.errno == errno.EACCES:
                raise UserError(f"--port {port}: only root may listen there; choose one from 1024 on") from error
    raise UserError(f"--port {port} is taken on this machine; without --port a free one is found")


def tunnel(port: int) -> str:
    """The command that brings the port of this machine to another one."""
    import getpass
    import socket

    return f"ssh -N -L {port}:127.0.0.1:{port} {getpass.getuser()}@{socket.gethostname()}"


def own_command(store: Path, port: int) -> str:
    """What starts MLflow without this command, and without a token."""
    import shlex
    import sys

    from dual_hpc.config.paths import mlflow_uri

    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", mlflow_uri(store)]
    command += ["--default-artifact-root", (real_path(store) / "mlartifacts").as_uri(), "--no-serve-artifacts"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    return shlex.join(command)
