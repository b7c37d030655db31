"""`dual-hpc predict --watch`: the files of a folder, as they become complete."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dual_hpc.files.real_path import real_path

if TYPE_CHECKING:
    from dual_hpc.inference.predictor import Predictor
    from dual_hpc.inference.recording import RecordingOptions


def check_watch(args: argparse.Namespace) -> None:
    """Refuse what does not go with watching.

    Raises:
        UserError: names the option.
    """
    from dual_hpc.errors import UserError

    if not args.watch.is_dir():
        raise UserError(f"--watch: {args.watch} is not a folder")
    of_one = {"text": args.text, "turns": args.turns, "timeline": args.timeline or None, "explain": args.explain}
    if wrong := [name for name, value in of_one.items() if value is not None]:
        raise UserError(f"--{wrong[0]}: is of one recording, and --watch answers every file that comes")
    if args.output is None or str(args.output) == "-":
        raise UserError("--watch: needs --output FILE.jsonl, which remembers what was answered")
    if args.format not in (None, "jsonl") or args.output.suffix.lower() == ".csv":
        raise UserError("--watch: writes JSON lines; --format and the ending of --output must be jsonl")
    if not 0 <= args.settle <= 3600:
        raise UserError(f"--settle: {args.settle:g} is not between 0 and 3600 seconds")


def watch_folder(args: argparse.Namespace, predictor: Predictor, recordings: RecordingOptions | None) -> int:
    """Answer until Ctrl-C, or until Slurm or the system ask it to end."""
    import io
    import json
    import signal
    import sys

    from dual_hpc.files.disk_error import naming
    from dual_hpc.inference.answered_files import open_answers
    from dual_hpc.inference.batch import answer_all
    from dual_hpc.inference.requests import Clip
    from dual_hpc.inference.watch import Watch
    from dual_hpc.printable import printable

    def answer(path: Path) -> list[Mapping[str, Any]]:
        out = io.StringIO()
        answer_all(predictor, [Clip(path, side=args.side)], out, sys.stderr, "jsonl", recordings, risk=args.unsure)
        records = [json.loads(line) for line in out.getvalue().splitlines()]
        if "error" not in records[0]:
            count = f"{len(records)} answers" if len(records) > 1 else str(records[0]["label"])
            print(f"{printable(path.relative_to(folder))}: {count}", flush=True)
        return records

    folder = real_path(args.watch)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with naming(args.output), open_answers(args.output) as answers:
        watch = Watch(folder, answers, answer, args.settle, real_path(args.output))
        print(f"watching {printable(folder)}; answers go to {printable(args.output)} (Ctrl-C ends it)", flush=True)
        try:
            watch.run()
        except KeyboardInterrupt:
            failed = f", {watch.failed} could not be" if watch.failed else ""
            print(f"\nended: {watch.answered} file{'' if watch.answered == 1 else 's'} answered{failed}", flush=True)
    return 0
