"""`dual-hpc predict`: raw clips in, JSON lines out."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from launch.cli.plugin_argument import add_plugin_argument

if TYPE_CHECKING:
    from dual_hpc.inference.requests import BadRequest, Clip
    from dual_hpc.progress import ProgressDisplay

T = TypeVar("T")

EXAMPLES = """\
examples:
  dual-hpc predict --model store/runs/demo/export/best --input clip.mp4 --text "I am fine."
  dual-hpc predict --model exported/ --input clips/ more/*.mp4 --output answers.jsonl
  dual-hpc predict --model exported/ --input list.jsonl    # lines like {"input": "a.mp4", "text": "...", "start": 1.5}

Audio, video or text may be missing; each answer names the modalities it is based on. A file that is not readable media
gives one line on standard error and exit code 2; the other files are still answered.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="a saved model (a run's export/best)")
    parser.add_argument(
        "--input",
        nargs="+",
        required=True,
        metavar="PATH",
        help="clips, folders, JSONL manifests; - reads a manifest from standard input",
    )
    parser.add_argument("--text", metavar="WORDS", help="the transcript of one clip")
    parser.add_argument(
        "--side",
        choices=("left", "right", "whole"),
        help="the half that shows the speaker, for a model that was trained on halves of the picture (default: whole)",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write the JSON lines to this file; - for the terminal"
    )
    add_plugin_argument(parser)
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1 ... (default: a GPU where there is one)")


def run(args: argparse.Namespace) -> int:
    import contextlib
    import sys

    from dual_hpc.errors import UserError
    from dual_hpc.files.disk_error import naming
    from dual_hpc.inference.batch import answer_all
    from dual_hpc.inference.predictor import Predictor
    from dual_hpc.inference.requests import read_requests
    from dual_hpc.progress import ProgressDisplay
    from launch.cli.model_argument import model_folder

    to_file = args.output is not None and str(args.output) != "-"
    if to_file and (args.output.is_dir() or not args.output.parent.is_dir()):
        raise UserError(f"--output: {args.output} is not a file in a folder that exists")
    requests = list(read_requests(args.input, args.text, args.side))
    if to_file:
        requests = without_earlier_answers(args.output, args.input, requests)
    if not requests:
        raise UserError("--input: the manifest names no clip")
    predictor = Predictor.from_pretrained(model_folder(args.model), device=args.device)
    with contextlib.ExitStack() as open_files:
        if to_file:
            open_files.enter_context(naming(args.output))
        out = open_files.enter_context(open(args.output, "w", encoding="utf-8")) if to_file else sys.stdout
        bar = open_files.enter_context(ProgressDisplay("predict", len(requests), shown=None if to_file else False))
        return answer_all(predictor, _counted(requests, bar), out, sys.stderr)


def without_earlier_answers(
    output: Path, inputs: Sequence[str], requests: Sequence[Clip | BadRequest]
) -> list[Clip | BadRequest]:
    """The requests without the output file of an earlier call, which may be in the same folder.

    Raises:
        UserError: the output would overwrite an input.
    """
    from dual_hpc.errors import UserError
    from dual_hpc.inference.requests import Clip

    place = output.resolve()
    same = [one for one in requests if isinstance(one, Clip) and one.path.resolve() == place]
    named = any(source != "-" and Path(source).resolve() == place for source in inputs)
    if named or (same and output.suffix.lower() != ".jsonl"):
        raise UserError(f"--output: {output} is among the --input and would be overwritten; choose another file")
    return [one for one in requests if one not in same]


def _counted(requests: Sequence[T], bar: ProgressDisplay) -> Iterator[T]:
    for request in requests:
        yield request
        bar.advance(1)
