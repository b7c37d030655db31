"""`dual-hpc serve`: a model behind HTTP for uploads, with a page that shows a recording and its timeline."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from dual_hpc.files.real_path import real_path
from launch.cli.model_argument import MEANS
from launch.cli.plugin_argument import add_plugin_argument

if TYPE_CHECKING:
    from dual_hpc.serving.limits import Limits
    from dual_hpc.serving.options import RequestOptions
    from dual_hpc.serving.worker import ModelFacts

EXAMPLES = """\
examples:
  dual-hpc serve --model demo                      # a run, by its name; open the address that is printed
  dual-hpc serve --model exported/ --window 6 --hop 2 --unsure 0.2
  ssh -N -L 8000:127.0.0.1:8000 me@login.cluster   # on your own machine, where a browser then opens 127.0.0.1:8000
  curl -F file=@talk.mp4 http://127.0.0.1:8000/predict
  curl -F file=@talk.mp4 -F window=4 -F stream=true http://127.0.0.1:8000/predict      # a line for each window
  curl -F file=@clip.mp4 -F window=whole -F text="I am fine." http://127.0.0.1:8000/predict

The answers are those of `dual-hpc predict --window`: windows with start, end, label, probabilities and confidence, then
the timeline. Options are fields of the form, under the names that `predict` has for them: text, start, end, side,
window, hop, smooth, speech, unsure; files=true adds the timeline as CSV, SRT and WebVTT. GET /health and /model say how
the server is, and what the model reads. A refusal is JSON, {"error": "...", "status": 413}.

Recordings are uploaded: the server reads no file and no address that a client names. It keeps nothing; one recording is
answered at a time, by a process of its own, and others wait. It listens on 127.0.0.1, where every user of this machine
can connect: --token keeps others out. Other addresses need --public, and a proxy with HTTPS in front.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, metavar="MODEL", help=MEANS)
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, metavar="N", help="default: 8000, or a free one")
    parser.add_argument("--public", action="store_true", help="let other machines connect, with a --host of theirs")
    parser.add_argument("--token", action="store_true", help="answer only who has the address that is printed")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a further name by which this server is called, as that of a proxy (repeatable)",
    )
    _add_limits(parser)
    group = parser.add_argument_group("answers, where a request does not say")
    group.add_argument("--window", metavar="SECONDS|whole", help="of a window (default: 6, or what the model reads)")
    group.add_argument("--hop", metavar="SECONDS", help="from window to window (default: half a window)")
    group.add_argument("--smooth", metavar="SECONDS", help="average the timeline")
    group.add_argument("--speech", metavar="SHARE", help="answer only windows of which this share is speech, 0 to 1")
    group.add_argument("--unsure", metavar="RISK", help="mark answers as unsure, as `predict --unsure` does")
    add_plugin_argument(parser)
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1 ... (default: a GPU where there is one)")


def _add_limits(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("limits")
    group.add_argument("--max-upload", default="500MB", metavar="SIZE", help="of a recording (default: 500MB)")
    group.add_argument(
        "--timeout",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="of a request, from its first byte to its answer (default: 600)",
    )
    group.add_argument(
        "--max-requests",
        type=int,
        default=4,
        metavar="N",
        help="that are received, wait or are answered at the same time (default: 4); others are told to try again",
    )


def run(args: argparse.Namespace) -> int:
    import secrets
    import signal

    from dual_hpc.printable import printable
    from dual_hpc.serving.limits import size_text
    from dual_hpc.serving.server import serve
    from dual_hpc.serving.worker import ModelSource
    from launch.cli.model_argument import model_folder
    from launch.cli.ui import listener, tunnel

    limits = _limits(args)
    defaults = _defaults(args)
    check_host(args.host, args.public)
    folder = model_folder(args.model)
    source = ModelSource(real_path(folder), args.device, tuple(args.plugin), defaults)
    for number in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: what was uploaded is deleted
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, signal.default_int_handler)
    token = secrets.token_urlsafe(24) if args.token else None

    with listener(args.port or 8000, args.port != 0, args.host) as open_port:
        port = open_port.getsockname()[1]

        def ready(facts: ModelFacts) -> None:
            shown = f"[{args.host}]" if ":" in args.host else args.host
            query = "" if token is None else f"?token={token}"
            print(f"{printable(args.model)}: {', '.join(facts.labels)}; reads {', '.join(facts.reads)}")
            print(f"answers on http://{shown}:{port}/{query} (recordings up to {size_text(limits.upload)})")
            print(f"from another machine, first: {tunnel(port)}\n(Ctrl-C ends it)", flush=True)

        names = [*args.allow_host, *(machine_names(args.host) if args.public else [])]
        answered = serve(open_port, source, printable(args.model, 80), limits, names, token, ready, _log)
    print(f"ended; {answered} recording{'' if answered == 1 else 's'} answered")
    return 0


def check_host(host: str, public: bool) -> None:
    """Refuse to listen where other machines can connect, unless that is asked for; then warn.

    Raises:
        UserError: says what to give.
    """
    import sys

    from dual_hpc.errors import UserError
    from dual_hpc.serving.access import is_loopback

    if is_loopback(host):
        return
    if not public:
        raise UserError(
            f"--host {host}: other machines could connect; add --public if they may, and --token to keep strangers out"
        )
    warning = f"--host {host}: whoever can connect may send recordings, and what is sent is not encrypted"
    print(f"dual-hpc: warning: {warning}", file=sys.stderr)


def machine_names(host: str) -> list[str]:
    """By which other machines may call this one."""
    import socket

    return [host, socket.gethostname(), socket.getfqdn()]


def _limits(args: argparse.Namespace) -> Limits:
    from dual_hpc.errors import UserError
    from dual_hpc.serving.limits import Limits, parse_size

    if not 1 <= args.timeout <= 86_400:
        raise UserError(f"--timeout {args.timeout:g}: must be 1 to 86400 seconds")
    if not 1 <= args.max_requests <= 64:
        raise UserError(f"--max-requests {args.max_requests}: must be 1 to 64")
    if not 0 <= args.port < 2**16:
        raise UserError(f"--port {args.port}: must be between 0 and 65535")
    return Limits(upload=parse_size(args.max_upload), seconds=args.timeout, requests=args.max_requests)


def _defaults(args: argparse.Namespace) -> RequestOptions:
    from dual_hpc.errors import UserError
    from dual_hpc.serving.options import parse_options
    from dual_hpc.serving.replies import Refusal

    given = {name: getattr(args, name) for name in ("window", "hop", "smooth", "speech", "unsure")}
    try:
        return parse_options({name: value for name, value in given.items() if value is not None})
    except Refusal as refusal:
        raise UserError(f"--{refusal.message}") from refusal


def _log(line: str) -> None:
    import time

    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)
