"""Folders of corpora with tables of labels, as they are downloaded: every row and file, quirks and litter.

As in `named`, the recordings are all one tiny file.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from shards.corpora import msp_improv
from shards.corpora.clip_table import ClipTable
from shards.corpora.fold_lists import FOLDS, FoldLists
from shards.synthetic.named import write_release

_MODES = {"train": "train", "dev": "valid", "test": "test"}


def write_clip_table(folder: Path, corpus: ClipTable, counts: Mapping[str, int], recording: bytes) -> None:
    """`label.csv` and `Raw`: files have zeros before their number, the table has none; one text is quoted.

    Args:
        counts: part -> clips.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\r\n")
    writer.writerow(["video_id", "clip_id", "text", "label", "label_T", "label_A", "label_V", "annotation", "mode"])
    names = []
    for part, count in counts.items():
        for number in range(count):
            video, clip = f"-{part}_{number // 10:04d}", number % 10 + 1
            score = round(corpus.most * (number % 11 - 5) / 5, 2)
            alone = ("", "", "") if corpus.one_speaker else (score, -score, 0)
            text = 'well, "yes"' if number % 2 else "好的"
            writer.writerow((video, clip, text, score, *alone, "Negative" if score < 0 else "Positive", _MODES[part]))
            names.append(f"Raw/{video}/{clip:04d}.mp4")
    write_release(folder, names, recording)
    (folder / "label.csv").write_bytes(table.getvalue().encode())


def write_msp_improv(folder: Path, counts: Mapping[str, int], recording: bytes) -> None:
    """`Evalution.txt`, `Audio/sessionN/S01A/R/*.wav` and a text.

    Args:
        counts: label -> turns.
    """
    letters = {label: letter for letter, label in msp_improv.LABELS.items()}
    labels = [label for label, count in counts.items() for _ in range(count)]
    lines, names = ["% consensus, then each rater", ""], []
    for number, label in enumerate(labels):
        session, who, emotion = number % 6 + 1, "FM"[number // 6 % 2], "AHNS"[number // 12 % 4]
        kind, sentence = "PRST"[number // 48 % 4], f"S{number // 192 % 20 + 1:02d}"
        turn = f"{sentence}{emotion}-{who}{session:02d}-{kind}-FM{number // 3840:02d}"
        rated = f"A:{1 + number % 5}.000000; V:3.500000; D:NaN"
        lines += [f"UTD-IMPROV-{turn}.avi; {letters[label]}; {rated} ; N:4.000000;"]
        lines += [f"WORKER{n}; Angry; Angry,Other (why; not),; A:{n}.0; V:2.0; D:3.0; N:1.0;" for n in (1, 2)]
        names.append(f"Audio/session{session}/{sentence}{emotion}/{kind}/MSP-IMPROV-{turn}.wav")
    write_release(folder, names, recording)
    (folder / "Evalution.txt").write_text("\n".join(lines) + "\n")
    texts = folder / "All_human_transcriptions"
    texts.mkdir()
    (texts / Path(names[0]).with_suffix(".txt").name).write_text("how can I not\n")


def write_fold_lists(folder: Path, corpus: FoldLists, counts: Sequence[Sequence[int]], recording: bytes) -> None:
    """The five test lists, and the clips with zeros before their numbers; every tenth clip is in no list.

    Args:
        counts: of each fold, its clips of each label, in the order of `corpus.labels`.
    """
    numbers = (number for number in itertools.count(1) if number % 10)
    csv_list, last = corpus.test_list.endswith(".csv"), 0
    for fold, of_labels in zip(FOLDS, counts, strict=True):
        lines = ["video_name,label"] if csv_list else []
        for label, count in zip(corpus.labels, of_labels, strict=True):
            for last in itertools.islice(numbers, count):
                lines.append(f"{last},{label}" if csv_list else f"{last:05d}.mp4 {label}")
        path = folder / corpus.test_list.format(fold=fold)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
    write_release(folder, [f"data/clips/{number:05d}.mp4" for number in range(1, last + 1)], recording)
