"""`dual-hpc pack`: a raw corpus to WebDataset shards."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from launch.cli.plugin_argument import add_plugin_argument
from launch.cli.task_arguments import add_task_arguments, array_of, share_done

if TYPE_CHECKING:
    from shards.options import PackOptions
    from shards.report import Report

EXAMPLES = """\
examples:
  dual-hpc pack iemocap $DSDIR/IEMOCAP --out $SCRATCH/shards/iemocap --workers 8
  dual-hpc pack meld $DSDIR/MELD --audio center
  dual-hpc pack ravdess $DSDIR/RAVDESS
  dual-hpc pack manifest my_corpus.csv --name mine
  dual-hpc pack manifest from_excel.csv --encoding gbk
  dual-hpc pack features table.csv --array audio=768@50 --array video=512@25 --array words=1024
  dual-hpc submit --profile my-cluster.yaml --tasks 8 -- pack meld $DSDIR/MELD --out $SCRATCH/shards/meld

A manifest is CSV with a header, or JSON lines, one utterance per row: audio and/or video (paths from the manifest's
folder), text, label; and where they are known id, split, speaker, dialogue, utterance, session, start and end (seconds
in the media), valence, arousal, dominance, gender, and votes of the raters ("angry; angry; sad").

Features that you have as arrays (.npy, .npz, .pt, .h5; no pickles): a table with the columns audio, video and/or words
(FILE or FILE#ENTRY; without ENTRY the only one, or that of the id), and text, label, duration and the rest as above.
--array says of each how wide its vectors are, and how many there are per second.

Killed at any moment, the same command continues. What is left out, and why, is written to report.md.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from shards.corpora import CORPORA

    known = ", ".join(f"{name} ({CORPORA.get(name).title})" for name in CORPORA)
    parser.add_argument("corpus", metavar="CORPUS", help=f"{known}, features, or one that a --plugin registers")
    parser.add_argument("source", type=Path, help="the corpus's folder (full release or short layout), or the manifest")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the shards (default: shards/CORPUS in the store)"
    )
    parser.add_argument("--name", help="name of a manifest's corpus (default: the file's)")
    parser.add_argument(
        "--encoding",
        metavar="NAME",
        help="of the annotation files, as gbk or cp1252 (default: UTF-8; else a guess, which the report tells)",
    )
    parser.add_argument(
        "--test-twins",
        choices=("plain", "final"),
        help="MELD: which recording of the 132 test rows that have two: diaX_uttY (plain, default) or "
        "final_videos_testdiaX_uttY; which is right is disputed",
    )
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes (default 1); the result is the same"
    )
    parser.add_argument(
        "--video-size", type=int, default=224, metavar="N", help="pixels of the stored short side (default 224)"
    )
    parser.add_argument("--max-fps", type=int, default=30, metavar="N", help="pictures per second at most (default 30)")
    parser.add_argument(
        "--max-seconds", type=float, default=40.0, metavar="S", help="longer media are cut (default 40)"
    )
    parser.add_argument("--crf", type=int, default=23, metavar="N", help="x264 quality, lower is better (default 23)")
    parser.add_argument(
        "--grid-hz",
        type=float,
        default=5.0,
        metavar="HZ",
        help="pictures per second that are decoded without the others; what training's data.video_hz is (default 5)",
    )
    parser.add_argument("--audio", choices=("downmix", "center"), default="downmix", help="of sources with channels")
    parser.add_argument(
        "--named-side",
        choices=("left", "right", "whole"),
        help="IEMOCAP: half that shows the actor whom the recording's name names (default left); see inspect",
    )
    parser.add_argument(
        "--listener",
        action="store_const",
        const="yes",
        help="IEMOCAP: also pack the half that shows who listens, as KEY_listener without sound, text and label",
    )
    parser.add_argument(
        "--picture-rows",
        metavar="TOP:BOTTOM",
        help="IEMOCAP: rows inside the letter-box, as shares of the height (default 0.25:0.75)",
    )
    parser.add_argument("--faces", action="store_true", help="square crops of the face (needs dual-hpc[faces])")
    parser.add_argument(
        "--shard-samples", type=int, default=0, metavar="N", help="utterances per shard (default: by size, <= 256)"
    )
    parser.add_argument(
        "--array",
        action="append",
        default=[],
        metavar="NAME=WIDTH@HZ",
        help="features: what the arrays of audio, video or words are, as audio=768@50 or words=1024",
    )
    parser.add_argument(
        "--dtype", choices=("float16", "float32"), default="float32", help="features: as they are stored"
    )
    parser.add_argument(
        "--maker",
        metavar="NAME",
        help="features: what made the arrays, as wavlm-large; those of one maker are read together and by models that "
        "were trained on such ones (default: the corpus's name)",
    )
    add_task_arguments(parser)
    add_plugin_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Pack and say what happened.

    Raises:
        UserError: arguments, source or output folder are wrong.
    """
    from dual_hpc.errors import UserError
    from shards.fork_server import fork_context

    if not 1 <= args.workers <= 256:
        raise UserError(f"--workers: {args.workers} is not between 1 and 256")
    from shards.corpora import FEATURES

    if args.corpus == FEATURES:
        return _run_features(args)
    check_corpus_options(args)
    choices = {"encoding": args.encoding, "test_twins": args.test_twins, "listener": args.listener}
    array = array_of(args)
    fork_context()  # loads while this process does
    from dual_hpc.config.paths import default_store
    from shards.packing import pack

    out = args.out or default_store() / "shards" / (args.name or args.corpus)
    report = pack(
        args.corpus,
        args.source,
        out,
        options(args),
        workers=args.workers,
        progress=args.progress,
        name=args.name,
        array=array,
        choices=choices,
    )
    if report is None:
        print(share_done(array, out))
    else:
        print(summary(report, out))
    return 0


def _run_features(args: argparse.Namespace) -> int:
    from dual_hpc.config.paths import default_store
    from shards.foreign_features import declared, pack_features

    out, array = args.out or default_store() / "shards" / (args.name or args.source.stem), array_of(args)
    index = pack_features(
        args.source, out, declared(args.array), args.name, args.encoding, args.dtype, array, args.progress, args.maker
    )
    if index is None:
        print(share_done(array, out))
        return 0
    found = [sample.meta for shard in index.shards for sample in shard.samples]
    print(f"packed the features of {len(found)} utterances into {out}: {len(index.shards)} shards, {index.dataset_id}")
    for name in (name for name in ("audio", "video", "text") if f"{name}_encoder" in index.options):
        if (having := sum(getattr(meta, f"has_{name}") for meta in found)) < len(found):
            print(f"  {name}: {having} of {len(found)} have any")
    labelled = sum(meta.label is not None for meta in found)
    print(
        f"  {labelled} have a label" + ("; protocols: all (data.protocol)" if labelled else "; only predict takes them")
    )
    return 0


def check_corpus_options(args: argparse.Namespace) -> None:
    """Refuse options that mean nothing for the corpus.

    Raises:
        UserError: there is no such corpus, or it does not take an option that was given.
    """
    from dual_hpc.errors import UserError
    from shards.corpora import CORPORA, FEATURES, OPTIONS

    if args.corpus == FEATURES:
        return
    for option in ("array", "maker"):
        if getattr(args, option):
            raise UserError(f"--{option}: only `pack features` takes it; leave it out")
    takes = CORPORA.get(args.corpus).options
    for option in OPTIONS:
        if getattr(args, option) is not None and option not in takes:
            others = ", ".join(name for name in CORPORA if option in CORPORA.get(name).options)
            raise UserError(
                f"--{option.replace('_', '-')}: {args.corpus} does not take it, only {others}; leave it out"
            )


def options(args: argparse.Namespace) -> PackOptions:
    """The packing options of parsed arguments."""
    from shards.options import PackOptions, picture_rows

    defaults = PackOptions()
    return PackOptions(
        video_size=args.video_size,
        max_fps=args.max_fps,
        max_seconds=args.max_seconds,
        crf=args.crf,
        grid_hz=args.grid_hz,
        audio=args.audio,
        named_side=args.named_side or defaults.named_side,
        picture_rows=defaults.picture_rows if args.picture_rows is None else picture_rows(args.picture_rows),
        faces=args.faces,
        shard_samples=args.shard_samples,
    )


def summary(report: Report, out: Path) -> str:
    """What the command prints at its end."""
    from shards.corpora import corpus_of
    from shards.report import left_out

    lines = [
        f"packed {report.packed} of {report.expected} utterances of {report.corpus} into {out}",
        f"  {report.shards} shards, {report.bytes / 1e6:.1f} MB, {report.hours:.2f} hours, {report.dataset_id}",
    ]
    lines += [f"  {line}" for line in left_out(report)]
    lines += [f"  skipped {skip.where}: {skip.reason}" for skip in report.skipped[:5]]
    if len(report.skipped) > 5:
        lines.append(f"  ... and {len(report.skipped) - 5} more")
    lines += [f"  note: {note}" for note in report.notes]
    if report.differences:
        lines.append(f"  counts differ from the published ones in {len(report.differences)} groups")
    lines.append(f"  protocols: {', '.join(corpus_of(report.corpus).protocols)} (data.protocol)")
    lines.append(f"  report: {out / 'report.md'}")
    return "\n".join(lines)
