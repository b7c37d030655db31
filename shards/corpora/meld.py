"""MELD: the official MELD.Raw names and the short layout (train, dev, test).

The CSV files are followed, never the folders: some clips have no annotation. Ids restart in every split, so a key is
(split, dialogue, utterance).
"""

from __future__ import annotations

import re
from pathlib import Path

from dual_hpc.errors import UserError
from dual_hpc.evaluation.protocols.meld import MELD7
from shards.corpora.corpus import Corpus
from shards.corpora.text import clean_line, corpus_root, media_files, parse_csv, read_text
from shards.plan import Plan, Planned, Source

NAME = "meld"
EMOTIONS = MELD7.classes
PUBLISHED = {  # utterances of each emotion, in that order
    "train": (4710, 1205, 268, 683, 1743, 271, 1109),
    "dev": (470, 150, 40, 111, 163, 22, 153),
    "test": (1256, 281, 50, 208, 402, 68, 345),
}
_CLIPS = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
_CLIP = re.compile(r"^dia\d+_utt\d+$")
_NEEDED = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")


def read(source: Path) -> Plan:
    """Plan of a MELD folder.

    Raises:
        UserError: no such folder, no annotation in it, or one that is not a MELD annotation.
    """
    root = corpus_root(source, ("MELD.Raw", "MELD"))
    plan = Plan(NAME, root)
    missing: list[str] = []
    for split, official in _CLIPS.items():
        clips = _clip_folder(root, split, official)
        table = _annotation(root, split, clips)
        if table is None and clips is not None:
            missing.append(split)
        elif table is None:
            plan.notes.append(f"the {split} split is absent")
        else:
            _read_split(plan, split, table, {} if clips is None else media_files(clips))
    if missing:
        wanted = ", ".join(f"{split}_sent_emo.csv" for split in missing)
        raise UserError(f"source: {root} has clips without labels. Add MELD's {wanted} to that folder")
    if not plan.utterances and not plan.skips:
        raise UserError(f"source: {root} has no labels: no train_sent_emo.csv, dev_sent_emo.csv or test_sent_emo.csv")
    return plan


def _clip_folder(root: Path, split: str, official: str) -> Path | None:
    for name in (f"{split}/{official}", official, split):
        if (root / name).is_dir() and any(_CLIP.match(stem) for stem in media_files(root / name)):
            return root / name
    return None


def _annotation(root: Path, split: str, clips: Path | None) -> Path | None:
    name = f"{split}_sent_emo.csv"
    folders = [root, root / split, *([clips, clips.parent] if clips else [])]
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def _read_split(plan: Plan, split: str, table: Path, clips: dict[str, Path]) -> None:
    header, rows = parse_csv(table, read_text(table))
    absent = [name for name in _NEEDED if name not in header]
    if absent:
        raise UserError(f"{table}: is not a MELD annotation: the column {absent[0]} is missing (line 1)")
    annotated: set[str] = set()
    for line, cells in rows:
        where = f"{plan.shown(table)}:{line}"
        if len(cells) != len(header):
            plan.skip(where, f"has {len(cells)} columns, the header has {len(header)}")
            continue
        planned = _planned(dict(zip(header, cells, strict=True)), split, clips, annotated)
        if isinstance(planned, str):
            plan.skip(where, planned)
        else:
            plan.utterances.append(planned)
    extra = sum(1 for stem in clips if stem not in annotated)
    if extra:
        plan.notes.append(f"{extra} clips of {split} have no annotation and are ignored")


def _planned(row: dict[str, str], split: str, clips: dict[str, Path], annotated: set[str]) -> Planned | str:
    """The utterance of a row, or why there is none."""
    dialogue, utterance = _count(row["Dialogue_ID"]), _count(row["Utterance_ID"])
    if dialogue is None or utterance is None:
        return f"Dialogue_ID {row['Dialogue_ID'][:20]!r} and Utterance_ID {row['Utterance_ID'][:20]!r} are not numbers"
    clip = f"dia{dialogue}_utt{utterance}"
    if clip in annotated:
        return f"{clip} occurs twice in {split}; the first is packed"
    annotated.add(clip)
    emotion = row["Emotion"].strip().lower()
    if emotion not in EMOTIONS:
        return f"{clip}: emotion {row['Emotion'][:20]!r} is not an emotion of MELD"
    if clip not in clips:
        return f"{clip}: the clip is absent"
    fields = {
        "corpus": NAME,
        "split": split,
        "season": _count(row.get("Season", "")),
        "episode": _count(row.get("Episode", "")),
        "dialogue": f"{split}_dia{dialogue}",
        "utterance": utterance,
        "speaker": clean_line(row["Speaker"]) or "unknown",
        "label": emotion,
        "raw_label": clean_line(row["Emotion"]),
    }
    media = Source(clips[clip])
    return Planned(f"{split}_{clip}", fields, media, media, clean_line(row["Utterance"]) or None)


def _count(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else None


MELD = Corpus(
    "MELD",
    read,
    protocols=("meld7", "all"),
    published={
        f"{split} {emotion}": count
        for split, counts in PUBLISHED.items()
        for emotion, count in zip(EMOTIONS, counts, strict=True)
    },
)
