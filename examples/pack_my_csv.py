"""Pack recordings that a CSV file describes into shards, and look at what was packed.

python examples/pack_my_csv.py clips/clips.csv shards/clips
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import dual_hpc
from dual_hpc.data.dataset import ShardDataset
from shards.options import PackOptions


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", type=Path, help="one line per utterance: audio and/or video, text, label ...")
    parser.add_argument("out", type=Path, help="folder of the shards")
    args = parser.parse_args(argv)

    options = PackOptions(video_size=96, max_seconds=10)  # pixels of the short side; longer clips are cut
    report = dual_hpc.pack("manifest", args.csv, args.out, options=options, workers=2)
    print(f"packed {report.packed} of {report.expected} utterances, {report.hours:.3f} hours, into {args.out}")
    for skip in report.skipped:  # nothing is left out silently
        print(f"left out: {skip.where}: {skip.reason}")

    dataset = ShardDataset([str(args.out)])
    print("labels:", dict(Counter(utterance.label for utterance in dataset.utterances)))
    print("look at:", args.out / "contact_sheet.png")


if __name__ == "__main__":  # the packer's workers import this file
    main()
