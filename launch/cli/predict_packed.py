"""`dual-hpc predict` on folders of shards: an answer for each packed utterance."""

from __future__ import annotations

import argparse
import contextlib
import sys

from dual_hpc.errors import UserError
from dual_hpc.files.disk_error import naming
from dual_hpc.files.real_path import real_path
from dual_hpc.inference.answer_format import AnswerWriter
from dual_hpc.inference.batch import least_confidence
from dual_hpc.inference.packed import PackedPredictor, is_packed
from dual_hpc.printable import printable
from launch.cli.model_argument import model_folder

_OF_CLIPS = ("text", "side", "explain", "window", "hop", "turns", "speech", "timeline")


def answer_packed(args: argparse.Namespace) -> int:
    """Write an answer for each utterance of the shards that `--input` names; the exit code.

    Raises:
        UserError: clips are named beside them, an option is for clips, or the model does not read these shards.
    """
    if clips := [path for path in args.input if not is_packed(path)]:
        raise UserError(f"--input: {clips[0]} is not a folder of shards, and others are; answer them one by one")
    if given := [name for name in _OF_CLIPS if getattr(args, name) not in (None, [])]:
        raise UserError(f"--{given[0]}: is for clips, not for packed utterances; leave it out")
    to_file = args.output is not None and str(args.output) != "-"
    if to_file and real_path(args.output).parent in map(real_path, args.input):
        raise UserError(f"--output: {args.output} lies among the shards; choose another folder")
    predictor = PackedPredictor(model_folder(args.model), args.input, args.device)
    least = None if args.unsure is None else least_confidence(predictor.confidence, args.unsure)
    style = args.format or ("csv" if to_file and args.output.suffix.lower() == ".csv" else "jsonl")
    if args.format is None and not to_file and sys.stdout.isatty():
        style = "table"
    records = list(predictor.records())  # before the output is opened
    failed = False
    with contextlib.ExitStack() as open_files:
        if to_file:
            open_files.enter_context(naming(args.output))
        out = open_files.enter_context(open(args.output, "w", encoding="utf-8")) if to_file else sys.stdout
        writer = AnswerWriter(out, style, predictor.labels, predictor.dimensions)
        for record in records:
            if "error" in record:
                failed = True
                print(f"dual-hpc: {printable(record['error'])}", file=sys.stderr, flush=True)
            if least is not None and record.get("confidence") is not None:
                record["unsure"] = record["confidence"] < least
            writer.write(record)
    return UserError.exit_code if failed else 0
