"""`dual-hpc predict`: raw clips and long recordings in, answers out: a table, JSON lines or CSV."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dual_hpc.durations import duration
from launch.cli.model_argument import MEANS
from launch.cli.plugin_argument import add_plugin_argument

if TYPE_CHECKING:
    from dual_hpc.inference.explanation import Explanation
    from dual_hpc.inference.requests import BadRequest, Clip
    from dual_hpc.progress import ProgressDisplay

T = TypeVar("T")

EXAMPLES = """\
examples:
  dual-hpc predict --model demo --input clip.mp4 --text "I am fine."           # a run, by its name
  dual-hpc predict --model exported/ --input clips/ more/*.mp4 --output answers.jsonl
  dual-hpc predict --model exported/ --input list.jsonl    # lines like {"input": "a.mp4", "text": "...", "start": 1.5}
  dual-hpc predict --model models:/emotions@best --input talk.mp4 --window 6 --hop 3 --timeline talk.png talk.srt
  dual-hpc predict --model exported/ --input clip.mp4 --text "I am fine." --explain why.png
  dual-hpc predict --model exported/ --input talk.mp4 --turns talk.rttm --speech 0.2 --format csv
  dual-hpc predict --model exported/ --watch incoming/ --window 6 --output answers.jsonl
  dual-hpc predict --model exported/ --input shards/mine   # packed utterances, of media or features; labels or not

Audio, video or text may be missing; each answer names the modalities it is based on. A file that is not readable media
gives one line on standard error and exit code 2; the other files are still answered. Files of a folder that are neither
audio nor video are counted. A terminal gets a table, anything else JSON lines, unless --format says otherwise; further
keys of a manifest's lines come back with their answers.

--watch answers what lies in a folder and what comes into it, each file once, also after a restart: --output remembers.
Files that are still written (they change, or are called a.mp4.part) wait; one with new content is answered again; one
that is no media has one line with `error`.

A recording that is longer than the model reads is cut by --window: each window is an answer of its own, and --timeline
writes what is felt when. Where windows overlap, the timeline has the mean of their probabilities; --smooth averages it
over more seconds. Memory does not grow with the length of the file.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, metavar="MODEL", help=MEANS)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--input",
        nargs="+",
        metavar="PATH",
        help="clips, folders, JSONL manifests, folders of shards; - reads a manifest from standard input",
    )
    source.add_argument(
        "--watch",
        type=Path,
        metavar="FOLDER",
        help="answer each file that comes into this folder once, until Ctrl-C, and append to --output",
    )
    parser.add_argument(
        "--settle",
        type=float,
        default=2.0,
        metavar="SECONDS",
        help="with --watch: a file that has not changed for so long is complete (default: 2)",
    )
    parser.add_argument("--text", metavar="WORDS", help="the transcript of one clip")
    parser.add_argument(
        "--side",
        choices=("left", "right", "whole"),
        help="the half that shows the speaker, for a model that was trained on halves of the picture (default: whole)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="write JSON lines, or CSV (.csv), to this file; - for the terminal",
    )
    parser.add_argument("--format", choices=("table", "jsonl", "csv"), help="default: table on a terminal, else jsonl")
    parser.add_argument(
        "--explain",
        nargs="?",
        const="",
        metavar="FILE",
        help="what each modality and moment gives to the answer; as a picture too (.png, of one clip)",
    )
    parser.add_argument(
        "--unsure",
        type=float,
        metavar="RISK",
        help="mark answers that are less sure than those of which this share was wrong on the validation split",
    )
    _add_recording_arguments(parser)
    add_plugin_argument(parser)
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1 ... (default: a GPU where there is one)")


def _add_recording_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("long recordings")
    group.add_argument(
        "--window",
        type=float,
        nargs="?",
        const=False,
        metavar="SECONDS",
        help="cut recordings into windows (without a number: 6 s, or as much as the model reads)",
    )
    group.add_argument("--hop", type=float, metavar="SECONDS", help="from window to window (default: half a window)")
    group.add_argument("--turns", type=Path, metavar="FILE", help="cut by turns: RTTM, or CSV start,end,speaker")
    group.add_argument(
        "--speech",
        type=float,
        metavar="SHARE",
        help="answer only windows of which this share is speech, 0 to 1 (by silero-vad if installed, else by energy)",
    )
    group.add_argument("--smooth", type=float, default=0.0, metavar="SECONDS", help="average the timeline")
    group.add_argument(
        "--timeline",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="of one recording: .json .csv .srt .vtt .png",
    )


def run(args: argparse.Namespace) -> int:
    import contextlib
    import sys
    from functools import partial

    from dual_hpc.start_up import without_collection

    with without_collection():
        from dual_hpc.inference.predictor import Predictor  # torch and transformers, most of the start-up
    from dual_hpc.errors import UserError
    from dual_hpc.files.atomic import write_atomically
    from dual_hpc.files.disk_error import naming
    from dual_hpc.inference.batch import answer_all, least_confidence
    from dual_hpc.inference.explanation_picture import explanation_png
    from dual_hpc.inference.packed import is_packed
    from dual_hpc.inference.recording import Recording, RecordingOptions
    from dual_hpc.inference.requests import read_requests
    from dual_hpc.inference.speaker_turns import read_turns
    from dual_hpc.inference.timeline_files import write_timeline, writer_of
    from dual_hpc.inference.windows import Windowing
    from dual_hpc.progress import ProgressDisplay
    from launch.cli.model_argument import model_folder
    from launch.cli.predict_packed import answer_packed
    from launch.cli.watch_folder import check_watch, watch_folder

    if args.watch is not None:
        check_watch(args)
    to_file = args.output is not None and str(args.output) != "-"
    if to_file and (args.output.is_dir() or not args.output.parent.is_dir()):
        raise UserError(f"--output: {args.output} is not a file in a folder that exists")
    if args.watch is None and any(map(is_packed, args.input)):
        return answer_packed(args)
    requests = [] if args.watch is not None else list(read_requests(args.input, args.text, args.side))
    if to_file and args.watch is None:
        requests = without_earlier_answers(args.output, args.input, requests)
    if not requests and args.watch is None:
        raise UserError("--input: the manifest names no clip")
    check_outputs(args)
    for timeline in args.timeline:
        writer_of(timeline)
        if len(requests) > 1:
            raise UserError(f"--timeline: {timeline} is of one recording; there are {len(requests)}")
    check_speech(args.speech, args.smooth)
    check_explain(args, len(requests))
    turns = read_turns(args.turns) if args.turns else ()
    if len(requests) > 1 and len({turn.recording for turn in turns}) == 1:
        raise UserError(f"--turns: {args.turns} is of one recording; there are {len(requests)}")
    with without_collection():
        predictor = Predictor.from_pretrained(model_folder(args.model), device=args.device)
    if args.unsure is not None:
        least_confidence(predictor.confidence, args.unsure)  # refuse before the work starts
    recordings = None
    if any(value is not None for value in (args.window, args.hop, args.turns, args.speech)) or args.timeline:
        seconds = None if args.window is False else args.window  # False: --window without a number
        windowing = Windowing.of(seconds, args.hop, predictor.preprocessing.max_seconds)
        recordings = RecordingOptions(windowing, turns, args.speech, args.smooth)
    if args.watch is not None:
        return watch_folder(args, predictor, recordings)
    style = args.format or ("csv" if to_file and args.output.suffix.lower() == ".csv" else "jsonl")

    def keep(recording: Recording) -> None:
        for path in args.timeline:
            with naming(path):
                write_timeline(recording.timeline(), path)

    def draw(why: Explanation) -> None:
        if args.explain:
            with naming(Path(args.explain)):
                write_atomically(Path(args.explain), explanation_png(why, Path(args.input[0]).name))

    with contextlib.ExitStack() as open_files:
        if to_file:
            open_files.enter_context(naming(args.output))
        elif args.format is None and sys.stdout.isatty():
            style = "table"
        out = open_files.enter_context(open(args.output, "w", encoding="utf-8")) if to_file else sys.stdout
        bar = open_files.enter_context(ProgressDisplay("predict", len(requests), shown=None if to_file else False))
        explained = None if args.explain is None else draw
        return answer_all(
            *(predictor, _counted(requests, bar), out, sys.stderr, style, recordings, keep, explained, args.unsure),
            written=None if recordings is None else partial(_told, bar),
        )


def check_outputs(args: argparse.Namespace) -> None:
    """Refuse to write two things into one file.

    Raises:
        UserError: names it.
    """
    from dual_hpc.errors import UserError

    named = [str(path) for path in (args.output or "-", args.explain or "-", *args.timeline)]
    named = [name for name in named if name != "-"]
    places = [_place(name) for name in named]
    for number, place in enumerate(places):
        if place in places[:number]:
            raise UserError(f"{named[number]} is named twice for what is written (--output, --explain, --timeline)")


def check_explain(args: argparse.Namespace, clips: int) -> None:
    """Refuse what cannot be explained.

    Raises:
        UserError: names the option.
    """
    from dual_hpc.errors import UserError

    if args.explain is None:
        return
    if any((args.window is not None, args.hop, args.turns, args.speech is not None, args.timeline)):
        raise UserError("--explain: is for clips; cut one out of the recording (start and end of a manifest's line)")
    csv = args.format == "csv" or (args.format is None and args.output and args.output.suffix.lower() == ".csv")
    if csv and not args.explain:
        raise UserError("--explain: CSV has no column for it; give --format jsonl, or the name of a picture")
    if args.explain and not args.explain.lower().endswith(".png"):
        raise UserError(f"--explain: {args.explain}: the picture's name must end in .png")
    if args.explain and clips > 1:
        raise UserError(f"--explain: {args.explain} is of one clip; there are {clips}")


def check_speech(share: float | None, smooth: float) -> None:
    """Refuse a share of a window outside 0 to 1, or a time outside 0 to one hour.

    Raises:
        UserError: names the option.
    """
    from dual_hpc.errors import UserError

    if share is not None and not 0 <= share <= 1:
        raise UserError(f"--speech: {share:g} is not between 0 and 1")
    if not 0 <= smooth <= 3600:
        raise UserError(f"--smooth: {smooth:g} is not between 0 and 3600 seconds")


def without_earlier_answers(
    output: Path, inputs: Sequence[str], requests: Sequence[Clip | BadRequest]
) -> list[Clip | BadRequest]:
    """The requests without the output file of an earlier call, which may be in the same folder.

    Raises:
        UserError: the output would overwrite an input.
    """
    from dual_hpc.errors import UserError
    from dual_hpc.inference.requests import Clip

    place = _place(output)
    same = [one for one in requests if isinstance(one, Clip) and _place(one.path) == place]
    named = any(source != "-" and _place(source) == place for source in inputs)
    if named or (same and output.suffix.lower() != ".jsonl"):
        raise UserError(f"--output: {output} is among the --input and would be overwritten; choose another file")
    return [one for one in requests if one not in same]


def _place(path: str | Path) -> str:
    """The file behind links; of a circle of links, or a name that no file can have, the name."""
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):
        return str(path)


def _told(bar: ProgressDisplay, record: Mapping[str, Any]) -> None:
    """How far the recording is that is being answered."""
    if "end" in record:
        bar.update(bar.done, bar.total, f"{Path(record['input']).name}: {duration(record['end'])} answered")


def _counted(requests: Sequence[T], bar: ProgressDisplay) -> Iterator[T]:
    for request in requests:
        yield request
        bar.advance(1)
