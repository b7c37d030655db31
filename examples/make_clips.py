"""Write a folder of short synthetic clips and a CSV file that describes them, for the other examples to work on.

    python examples/make_clips.py clips --utterances 60

Use your own recordings instead: the CSV file has a line per utterance, and needs only `file`, or `audio` or `video`.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from shards.corpora import read_corpus
from shards.synthetic import generate

COLUMNS = ("id", "video", "audio", "text", "label", "split", "speaker", "dialogue")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a new folder")
    parser.add_argument("--utterances", type=int, default=60)
    args = parser.parse_args(argv)

    generate("meld", args.folder / "media", args.utterances, quirks=False)
    with open(args.folder / "clips.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for clip in read_corpus("meld", args.folder / "media", None).utterances:
            path = clip.video.path.relative_to(args.folder.resolve())
            known = {key: clip.fields[key] for key in ("label", "split", "speaker", "dialogue")}
            writer.writerow({"id": clip.key, "video": path, "audio": path, "text": clip.text, **known})
    print(args.folder / "clips.csv")


if __name__ == "__main__":
    main()
