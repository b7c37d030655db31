"""Corpora of clips that a table scores by sentiment: CMU-MOSEI, CH-SIMS and CH-SIMS v2, `label.csv` beside `Raw`.

Zadeh et al., 2018; Yu et al., 2020; Liu et al., 2022. The table has video_id, clip_id, text, label (the score) and mode
(train, valid, test); a clip is `VIDEO/CLIP.mp4`. CH-SIMS scores text, sound and pictures alone as well. The score is
kept as `valence`, its sign as the label: negative, neutral, positive. Labels in `.csd` or pickled files are not read:
reading them may run code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dual_hpc.errors import UserError
from shards.corpora.annotation_table import table_rows
from shards.corpora.corpus import Corpus
from shards.corpora.media import Folder, MediaFiles, search, tell_broken_links, tell_ignored
from shards.corpora.text import TextFiles, clean_line, corpus_root
from shards.plan import Plan, Planned, Source

if TYPE_CHECKING:
    from dual_hpc.data.format.sample import Utterance

TABLES = ("label.csv", "labels.csv", "meta.csv", "meta(s).csv")
_NEEDED = ("video_id", "clip_id", "text", "label", "mode")
_SPLITS = {"train": "train", "valid": "dev", "val": "dev", "validation": "dev", "dev": "dev", "test": "test"}
_ALONE = {"label_T": "sentiment_text", "label_A": "sentiment_audio", "label_V": "sentiment_video"}
_UNREADABLE = (".csd", ".pkl", ".pickle")

Row = dict[str, str]
Clip = tuple[str, str]  # video, number without leading zeros


@dataclass(frozen=True)
class ClipTable:
    """A corpus of this form.

    Attributes:
        most: the largest score; the lowest is its negative.
        one_speaker: a video shows one person.
        published: part -> utterances, as the release has them.
    """

    name: str
    title: str
    most: float
    one_speaker: bool
    published: Mapping[str, int]
    protocols: tuple[str, ...]
    roots: tuple[str, ...]

    def corpus(self) -> Corpus:
        """As the registry takes it."""
        published = {f"split {split}": count for split, count in self.published.items()}
        return Corpus(self.title, partial(read, self), (*self.protocols, "all"), published, _split, ("encoding",))


def read(corpus: ClipTable, source: Path, *, encoding: str | None = None) -> Plan:
    """Plan of a release's folder.

    Args:
        encoding: of the table; None: UTF-8, else a guess that is told.

    Raises:
        UserError: no such folder, no table in it, or one of another form.
    """
    plan = Plan(corpus.name, corpus_root(source, corpus.roots))
    found = search(plan.root, _clip_of, ("Raw",))
    table = _table(corpus, plan, found)
    texts = TextFiles(plan, encoding)
    rows = table_rows(plan, table, texts, _NEEDED, f"a table of {corpus.title}")
    seen: set[Clip] = set()
    packed: list[MediaFiles] = []
    for where, row in rows:
        clip = (row["video_id"].strip(), _number(row["clip_id"].strip()))
        files = found.media.get(clip, MediaFiles())
        planned = _planned(corpus, row, clip, files)
        if clip in seen:
            plan.skip(where, f"{'/'.join(map(clean_line, clip))[:80]} occurs twice; the first is taken", utterance=None)
        elif isinstance(planned, str):
            plan.skip(where, planned, utterance=where)
        else:
            plan.utterances.append(planned)
            seen.add(clip)
            packed.append(files)
    texts.tell()
    tell_ignored(plan, packed, "utterances")
    tell_broken_links(plan, found.broken)
    if strays := len(found.unknown) + sum(clip not in seen for clip in found.media):
        plan.notes.append(f"{strays} clips are in no row of {table.name} and are ignored")
    return plan


def _table(corpus: ClipTable, plan: Plan, found: Folder[Clip]) -> Path:
    tables = [path for path in found.others if path.name in TABLES]
    if not tables:
        other = next((path for path in found.others if path.suffix.lower() in _UNREADABLE), None)
        why = "" if other is None else f" ({plan.shown(other)} is not read, as reading such a file may run code)"
        raise UserError(f"source: {plan.root} has no labels{why}. Add the {TABLES[0]} of {corpus.title} to that folder")
    return min(tables, key=lambda path: (len(path.parts), TABLES.index(path.name), path))


def _planned(corpus: ClipTable, row: Row, clip: Clip, files: MediaFiles) -> Planned | str:
    """The utterance of a row, or why there is none."""
    from dual_hpc.data.format.sample import is_valid_key  # pydantic, which no help needs

    video, number = clip
    key = f"{corpus.name}_{video}_{number}"
    if not video or not number or not is_valid_key(key):
        return f"{clean_line(row['video_id'])[:40]!r}, {clean_line(row['clip_id'])[:20]!r} do not name a clip"
    score = _score(row["label"], corpus.most)
    if score is None:
        return f"{key}: label {clean_line(row['label'])[:20]!r} is not a score from {-corpus.most:g} to {corpus.most:g}"
    split = _SPLITS.get(row["mode"].strip().lower())
    if split is None:
        return f"{key}: mode {clean_line(row['mode'])[:20]!r} is none of train, valid and test"
    if files.sound is None:
        return f"{key}: the clip is absent"
    alone = {name: _score(row.get(column, ""), corpus.most) for column, name in _ALONE.items()}
    fields = {
        "corpus": corpus.name,
        "split": split,
        "dialogue": video,
        "utterance": int(number) if number.isascii() and number.isdecimal() and len(number) < 10 else 0,
        "speaker": video if corpus.one_speaker else "unknown",
        "label": "negative" if score < 0 else "positive" if score > 0 else "neutral",
        "raw_label": clean_line(row["label"]),
        "valence": score,
        "attributes": {name: f"{value:g}" for name, value in alone.items() if value is not None} or None,
    }
    pictures = None if files.pictures is None else Source(files.pictures)
    return Planned(key, fields, Source(files.sound), pictures, clean_line(row["text"]) or None)


def _clip_of(path: str) -> Clip | None:
    """The folder of a media file, and its name."""
    folder, _, name = path.rpartition("/")
    video, stem = folder.rpartition("/")[2], name.rpartition(".")[0]
    return (video, _number(stem)) if video and stem else None


def _number(text: str) -> str:
    """Tables drop the zeros that files have: 1 is `0001.mp4`."""
    return (text.lstrip("0") or "0") if text.isascii() and text.isdecimal() else text


def _score(text: str, most: float) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) <= most else None


def _split(utterance: Utterance) -> list[str]:
    return [f"split {utterance.split}"]


CMU_MOSEI = ClipTable(
    *("cmu_mosei", "CMU-MOSEI", 3.0, True, {"train": 16326, "dev": 1871, "test": 4659}),
    ("cmu-mosei3",),
    ("CMU-MOSEI", "CMU_MOSEI", "MOSEI"),
)
CH_SIMS = ClipTable(
    *("ch_sims", "CH-SIMS", 1.0, False, {"train": 1368, "dev": 456, "test": 457}), ("ch-sims3",), ("CH-SIMS", "SIMS")
)
CH_SIMS2 = ClipTable(
    *("ch_sims2", "CH-SIMS v2", 1.0, False, {"train": 2722, "dev": 647, "test": 1034}),
    ("ch-sims2-3",),
    ("ch-simsv2s", "CH-SIMS-v2", "CH-SIMSv2"),
)
