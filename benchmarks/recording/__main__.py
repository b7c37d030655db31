"""`make bench-recording`: memory, time and answers of `predict --window` on half an hour of generated speech.

Turns of four to nine seconds by eight speakers, each of which shows one of four emotions by voice and face, are joined
with pauses. A small model is trained on other utterances of the same speakers. It is asked for each turn as a clip of
its own, for windows of the whole recording, and for its turns by RTTM.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.record import row, write
from benchmarks.recording.joined import write_recording
from benchmarks.recording.measure import predict, right_windows, single_clips, subtitles, train_model

WHOLE = 0.9  # of a window that lies in one turn, up to the rounding of its edges and the pause after it


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--clips", type=int, default=224, help="of the training")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--window", type=float, default=3.0)
    parser.add_argument("--keep", type=Path, help="an empty folder for corpus, model, recording and timelines")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        rows, details = measured(args.keep or Path(scratch), args)
    note = (
        f"{args.minutes:g} minutes beside one minute: peak memory of a fresh process, windows of {args.window:g} s by "
        f"halves. Right: windows that lie in one turn by {WHOLE:.0%} of their length, and turns by RTTM, of those "
        "whose turn the model knows as a clip of its own; the peer is the share of single clips that it knows. "
        "Generated voices and faces: nothing is said about real emotions."
    )
    print(write("recording", rows, note, **details))


def measured(folder: Path, args: argparse.Namespace) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows, and further figures."""
    model = train_model(folder, args.clips, args.epochs)
    rows, details = [], {}
    talks = {}
    for name, seconds in (("long", 60 * args.minutes), ("short", 54.0)):
        (folder / name).mkdir()
        talks[name] = write_recording(folder / name, seconds)
    for suffix, what in ((".mp4", "sound and pictures"), (".wav", "sound alone")):
        known = {name: single_clips(model, turns, suffix) for name, turns in talks.items()}
        share = 100 * sum(known["long"]) / len(known["long"])
        cut = ["--window", args.window, "--hop", args.window / 2]
        pictures = [folder / f"timeline{suffix[:4]}.{ending}" for ending in ("png", "srt", "vtt", "json", "csv")]
        found = {}
        for name in talks:
            drawn = ["--timeline", *pictures] if name == "long" else ["--timeline", folder / "short.png"]
            talk = (folder / name / "talk").with_suffix(suffix)
            found[name] = predict(model, talk, folder / f"{name}{suffix}.jsonl", *cut, *drawn)
        long, short = found["long"], found["short"]
        rows.append(row(f"{what}: peak memory", long.peak, short.peak, "a minute", "MiB", smaller_is_better=True))
        each = [1000 * one.cpu / len(one.records) for one in (long, short)]
        rows.append(row(f"{what}: processor time of a window", *each, "a minute", "ms", smaller_is_better=True))
        right, count = right_windows(long.records, talks["long"], known["long"], WHOLE)
        rows.append(row(f"{what}: windows", 100 * right / count, share, "single clips", "% right"))
        by_turn = ["--window", 6, "--turns", folder / "long" / "talk.rttm"]
        turns = predict(model, (folder / "long/talk").with_suffix(suffix), folder / "turns.jsonl", *by_turn)
        right, turn_count = right_windows(turns.records, talks["long"], known["long"], WHOLE)
        rows.append(row(f"{what}: turns by RTTM", 100 * right / turn_count, share, "single clips", "% right"))
        details[what] = {
            "windows": len(long.records),
            "windows counted": count,
            "turns": len(known["long"]),
            "turns counted": turn_count,
            "wall seconds": round(long.wall, 1),
            "subtitles that ffmpeg reads": {path.suffix: subtitles(path) for path in pictures[1:3]},
        }
    return rows, details


if __name__ == "__main__":
    main()
