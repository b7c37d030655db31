"""`dual-hpc synth`: a small corpus with emotions planted in its sound and pictures."""

from __future__ import annotations

import argparse
from pathlib import Path

EXAMPLES = """\
examples:
  dual-hpc synth iemocap --out corpora/iemocap --utterances 240
  dual-hpc synth meld --out corpora/meld --utterances 120 --seed 7
  dual-hpc synth iemocap --out corpora/hard --text-knows 0.7 --text-lies 0.1 --voice 0.5 --face 0.5
  dual-hpc synth iemocap --out corpora/full --utterances 10039 --media tiny    # every published count; MELD: 13708

The same seed gives the same bytes, whatever the number of workers. No real person is in it.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("corpus", choices=["iemocap", "meld"], help="whose official layout to write")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write the corpus into")
    parser.add_argument("--utterances", type=int, default=240, metavar="N", help="about how many (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default %(default)s")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes (default %(default)s)")
    parser.add_argument(
        "--layout",
        choices=["official", "short", "separate"],
        default="official",
        help="folders (default %(default)s); separate: MELD with its sound in folders of its own",
    )
    parser.add_argument(
        "--media", choices=["full", "tiny"], default="full", help="tiny: a few small files are used for all clips"
    )
    parser.add_argument("--clean", action="store_true", help="leave out the irregularities of the published corpus")
    dials = parser.add_argument_group("what the classes can be told by, from 0 to 1; index and reports record them")
    dials.add_argument(
        "--text-knows", type=float, default=0.5, metavar="P", help="share whose words name the emotion (default 0.5)"
    )
    dials.add_argument(
        "--text-lies", type=float, default=0.15, metavar="P", help="share whose words name another (default 0.15)"
    )
    dials.add_argument("--voice", type=float, default=1.0, metavar="S", help="how strong the voice is (default 1)")
    dials.add_argument("--face", type=float, default=1.0, metavar="S", help="how strong the face is (default 1)")
    dials.add_argument(
        "--movement",
        choices=["regular", "shared"],
        default="regular",
        help="shared: head and pitch also follow one course, whatever the emotion, by which they can be aligned "
        "(default %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    from dual_hpc.errors import UserError
    from shards.synthetic import Dials, generate

    if args.workers < 1:
        raise UserError("--workers must be at least 1")
    dials = Dials(args.text_knows, args.text_lies, args.voice, args.face, args.movement)
    summary = generate(
        args.corpus,
        args.out,
        args.utterances,
        seed=args.seed,
        workers=args.workers,
        quirks=not args.clean,
        layout=args.layout,
        media=args.media,
        dials=dials,
    )
    labels = ", ".join(f"{label} {count}" for label, count in sorted(summary.labels.items()))
    size = f"{summary.utterances} utterances, {summary.seconds:.0f} s of media, {summary.bytes / 1e6:.0f} MB"
    print(f"{summary.folder}: {size}")
    print(f"labels: {labels}")
    print(f"dials: {dials}")
    print(f"planted signals: {summary.plan}")
    return 0
