"""MELD: the official MELD.Raw names, the short layout (train, dev, test), and sound kept apart from the pictures.

The CSV files are followed, never the folders: some clips have no annotation. Ids restart in every split, so a key is
(split, dialogue, utterance).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from dual_hpc.errors import UserError
from dual_hpc.evaluation.protocols.meld import MELD7
from shards.corpora.annotation_table import table_rows
from shards.corpora.corpus import Corpus
from shards.corpora.media import MediaFiles, tell_broken_links, tell_ignored, tell_sound_apart
from shards.corpora.meld_clips import ARCHIVES, SPLITS, Clip, Clips, find_clips
from shards.corpora.meld_twins import PLAIN, choose_twins
from shards.corpora.text import TextFiles, clean_line, corpus_root
from shards.plan import Plan, Planned, Source

NAME = "meld"
EMOTIONS = MELD7.classes
PUBLISHED = {  # utterances of each emotion, in that order
    "train": (4710, 1205, 268, 683, 1743, 271, 1109),
    "dev": (470, 150, 40, 111, 163, 22, 153),
    "test": (1256, 281, 50, 208, 402, 68, 345),
}
_NEEDED = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")
_TIME = re.compile(r"^(\d{1,2}):(\d{1,2}):(\d{1,2})[,.](\d{1,3})$")

Row = dict[str, str]


def read(source: Path, *, encoding: str | None = None, test_twins: str | None = None) -> Plan:
    """Plan of a MELD folder.

    Args:
        encoding: of the CSV files; None: UTF-8, else a guess that is told.
        test_twins: `plain` or `final`; see `meld_twins`.

    Raises:
        UserError: no such folder, no annotation in it, or one that is not a MELD annotation.
    """
    root = corpus_root(source, ("MELD.Raw", "MELD"))
    if any((source / f"{split}_sent_emo.csv").is_file() for split in SPLITS):
        root = source.absolute()  # annotations beside the folder of the release, not in it
    plan = Plan(NAME, root)
    clips = find_clips(root)
    texts = TextFiles(plan, encoding)
    missing: list[str] = []
    for split in SPLITS:
        found = clips.of(split)
        table = _annotation(plan, split, clips)
        if table is None and found:
            missing.append(split)
        elif table is None:
            packed = next((plan.shown(path) for path in clips.others if ARCHIVES[split].search(path.name)), None)
            plan.notes.append(f"the {split} split is absent{f': {packed} is not unpacked' if packed else ''}")
        else:
            _read_split(plan, split, table, found, texts, test_twins or PLAIN)
    if missing:
        wanted = ", ".join(f"{split}_sent_emo.csv" for split in missing)
        raise UserError(f"source: {root} has clips without labels. Add MELD's {wanted} to that folder")
    if not plan.utterances and not plan.skips:
        raise UserError(f"source: {root} has no labels: no train_sent_emo.csv, dev_sent_emo.csv or test_sent_emo.csv")
    texts.tell()
    _tell_strays(plan, clips)
    return plan


def _annotation(plan: Plan, split: str, clips: Clips) -> Path | None:
    """The table of a split: beside its clips rather than elsewhere; of several that differ the first, which is told."""
    named = [path for path in clips.others if path.name == f"{split}_sent_emo.csv"]
    if not named:
        return None
    near = {plan.root, plan.root / split, *clips.folders(split)}
    first, *rest = sorted(named, key=lambda path: (path.parent not in near, len(path.parts), path))
    others = [plan.shown(path) for path in rest if path.read_bytes() != first.read_bytes()]
    if others:
        plan.notes.append(f"{plan.shown(first)} is read; {', '.join(others)} differs from it and is ignored")
    return first


def _read_split(
    plan: Plan, split: str, table: Path, clips: dict[Clip, MediaFiles], texts: TextFiles, twins: str
) -> None:
    rows: dict[Clip, tuple[str, Row]] = {}
    annotated: dict[Clip, float | None] = {}
    for where, row in table_rows(plan, table, texts, _NEEDED, "a MELD annotation"):
        dialogue, utterance = _count(row["Dialogue_ID"]), _count(row["Utterance_ID"])
        if dialogue is None or utterance is None:
            ids = f"Dialogue_ID {row['Dialogue_ID'][:20]!r} and Utterance_ID {row['Utterance_ID'][:20]!r}"
            plan.skip(where, f"{ids} are not numbers", utterance=where)
            continue
        clip = Clip(split, dialogue, utterance)
        annotated[clip] = seconds_of(row)
        if row["Emotion"].strip().lower() not in EMOTIONS:
            reason = f"{clip.name}: emotion {row['Emotion'][:20]!r} is not an emotion of MELD"
            plan.skip(where, reason, utterance=clip.key)
        elif clip in rows:
            plan.skip(where, f"{clip.name} occurs twice in {split}; the first is taken", utterance=None)
        else:
            rows[clip] = where, row
    chosen = choose_twins(plan, split, clips, annotated, twins)
    packed = []
    for clip, (where, row) in rows.items():
        planned = _planned(row, clip, chosen.get(clip, MediaFiles()))
        if planned is None:
            plan.skip(where, f"{clip.name}: the clip is absent", utterance=clip.key)
        else:
            plan.utterances.append(planned)
            packed.append(chosen[clip])
    tell_ignored(plan, packed, f"utterances of {split}")
    tell_sound_apart(plan, packed, f"utterances of {split}")
    unknown = sum(planned.annotated_seconds is None for planned in plan.utterances if planned.fields["split"] == split)
    if unknown:
        plan.notes.append(
            f"{unknown} utterances of {split} have no StartTime and EndTime that can be read, or not in this order: "
            "the length of their clips cannot be compared with them"
        )


def _planned(row: Row, clip: Clip, files: MediaFiles) -> Planned | None:
    """The utterance of a row; None if it has no file."""
    if files.sound is None:
        return None
    fields: dict[str, Any] = {
        "corpus": NAME,
        "split": clip.split,
        "season": _count(row.get("Season", "")),
        "episode": _count(row.get("Episode", "")),
        "dialogue": f"{clip.split}_dia{clip.dialogue}",
        "utterance": clip.utterance,
        "speaker": clean_line(row["Speaker"]) or "unknown",
        "label": row["Emotion"].strip().lower(),
        "raw_label": clean_line(row["Emotion"]),
    }
    if sentiment := clean_line(row.get("Sentiment", "")).lower():
        fields["attributes"] = {"sentiment": sentiment}
    return Planned(
        clip.key,
        fields,
        Source(files.sound),
        None if files.pictures is None else Source(files.pictures),
        clean_line(row["Utterance"]) or None,
        annotated_seconds=seconds_of(row),
    )


def _tell_strays(plan: Plan, clips: Clips) -> None:
    tell_broken_links(plan, clips.broken)
    lost = [path for clip, files in clips.of("").items() for path in (*files.audio, *files.video)]
    if lost:
        plan.notes.append(
            f"{len(lost)} clips lie in no folder named after a split and are ignored (the first: {plan.shown(lost[0])})"
        )
    if clips.unknown:
        plan.notes.append(
            f"{len(clips.unknown)} media files are not named like clips (diaX_uttY) and are ignored "
            f"(the first: {plan.shown(clips.unknown[0])})"
        )


def seconds_of(row: Row) -> float | None:
    """EndTime - StartTime of a row; None where they are absent, not of the form h:mm:ss,mmm, or in another order."""
    start, end = (_TIME.match(row.get(name, "").strip()) for name in ("StartTime", "EndTime"))
    if start is None or end is None:
        return None
    begun, ended = (
        3600 * int(time[1]) + 60 * int(time[2]) + int(time[3]) + int(time[4].ljust(3, "0")) / 1000
        for time in (start, end)
    )
    return round(ended - begun, 3) if ended > begun else None


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
    options=("encoding", "test_twins"),
)
