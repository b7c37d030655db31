"""Corpora of clips with five published folds, the lists of which are the labels: DFEW and MAFW, faces in films.

Jiang et al., 2020; Liu et al., 2022. DFEW has `EmoLabel_DataSplit/test(single-labeled)/set_1.csv` (video_name, label
1 to 7), MAFW `Train & Test Set/single/no_caption/set_1/test.txt` (`00001.mp4 anger`). Each clip of one emotion is in
one of the five test lists, which is its attribute `fold`; the others train. Who is seen is not published.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dual_hpc.errors import UserError
from shards.corpora.corpus import Corpus
from shards.corpora.media import MediaFiles, search, tell_broken_links, tell_ignored
from shards.corpora.text import TextFiles, clean_line, corpus_root, parse_csv
from shards.plan import Plan, Planned, Source

if TYPE_CHECKING:
    from dual_hpc.data.format.sample import Utterance

FOLDS = range(1, 6)
_CLIP = re.compile(r"[0-9]{1,5}")
Line = tuple[int, str, str]  # number in the file, clip, label


@dataclass(frozen=True)
class FoldLists:
    """A corpus of this form.

    Attributes:
        test_list: a fold's list of what tests, from the release's folder.
        lines: a list's path and text -> its lines.
        labels: as the lists spell them -> as the samples do.
        counts: of each published list, its clips of each label, in the order of `labels`.
        digests: of each published list, the sha256 of the keys of its samples, in order, a line each.
    """

    name: str
    title: str
    test_list: str
    lines: Callable[[Path, str], Iterator[Line]]
    labels: Mapping[str, str]
    counts: tuple[tuple[int, ...], ...]
    digests: tuple[str, ...]
    protocols: tuple[str, ...]
    roots: tuple[str, ...]

    def corpus(self) -> Corpus:
        """As the registry takes it."""
        published = {
            f"fold {fold} {label}": count
            for fold, counts in zip(FOLDS, self.counts, strict=True)
            for label, count in zip(self.labels.values(), counts, strict=True)
        }
        return Corpus(self.title, partial(read, self), (*self.protocols, "all"), published, _fold, ("encoding",))

    def key(self, clip: str) -> str:
        """Of the sample of a clip, which its number names."""
        return f"{self.name}_{int(clip):05d}"


def read(corpus: FoldLists, source: Path, *, encoding: str | None = None) -> Plan:
    """Plan of a release's folder.

    Args:
        encoding: of the lists; None: UTF-8, else a guess that is told.

    Raises:
        UserError: no such folder, or one of the five lists is not in it or has another form.
    """
    plan = Plan(corpus.name, corpus_root(source, corpus.roots))
    found = search(plan.root, _clip_of)
    there = {path.relative_to(plan.root).as_posix(): path for path in found.others}
    texts = TextFiles(plan, encoding)
    seen: dict[str, int] = {}
    listed: dict[int, set[str]] = {fold: set() for fold in FOLDS}
    packed: list[MediaFiles] = []
    for fold in FOLDS:
        name = corpus.test_list.format(fold=fold)
        path = min((path for inside, path in there.items() if f"/{inside}".endswith(f"/{name}")), default=None)
        if path is None:
            raise UserError(f"source: {plan.root} has no labels of fold {fold}. Add {name} of {corpus.title} to it")
        for number, clip, label in corpus.lines(path, texts.read(path)):
            where, files = f"{plan.shown(path)}:{number}", found.media.get(clip, MediaFiles())
            if not _CLIP.fullmatch(clip):
                plan.skip(where, f"{clean_line(clip)[:40]!r} is not the name of a clip", utterance=where)
                continue
            listed[fold].add(corpus.key(clip))
            if clip in seen:
                plan.skip(where, f"clip {clip} is in fold {seen[clip]} as well; that is taken", utterance=None)
            elif label.strip().lower() not in corpus.labels:
                plan.skip(where, f"clip {clip}: {clean_line(label)[:20]!r} is not a label of {corpus.title}", where)
            elif files.sound is None:
                plan.skip(where, f"clip {clip} is absent", utterance=where)
            else:
                seen[clip] = fold
                packed.append(files)
                plan.utterances.append(_planned(corpus, clip, label, fold, files))
    texts.tell()
    if other := [str(fold) for fold, keys in listed.items() if _digest(keys) != corpus.digests[fold - 1]]:
        plan.notes.append(
            f"the test list{'s' if len(other) > 1 else ''} of fold {', '.join(other)} of {corpus.title} "
            f"{'are' if len(other) > 1 else 'is'} not what was published (sha256 of the names of clips)"
        )
    tell_ignored(plan, packed, "utterances")
    tell_broken_links(plan, found.broken)
    if strays := len(found.unknown) + sum(clip not in seen for clip in found.media):
        plan.notes.append(f"{strays} clips are in no list, such as those of several emotions, and are ignored")
    return plan


def _planned(corpus: FoldLists, clip: str, label: str, fold: int, files: MediaFiles) -> Planned:
    assert files.sound is not None, "looked for by `read`"
    key = corpus.key(clip)
    fields = {
        "corpus": corpus.name,
        "dialogue": key,
        "utterance": 0,
        "speaker": "unknown",
        "label": corpus.labels[label.strip().lower()],
        "raw_label": clean_line(label),
        "attributes": {"fold": str(fold)},
    }
    pictures = None if files.pictures is None else Source(files.pictures)
    return Planned(key, fields, Source(files.sound), pictures, None)


def _clip_of(path: str) -> str | None:
    return _without_zeros(path.rpartition("/")[2].rpartition(".")[0])


def _without_zeros(name: str) -> str | None:
    """Lists and files differ in the zeros before a number; None: no number."""
    return str(int(name)) if _CLIP.fullmatch(name) else None


def _dfew_lines(path: Path, text: str) -> Iterator[Line]:
    header, rows = parse_csv(path, text)
    if absent := [name for name in ("video_name", "label") if name not in header]:
        raise UserError(f"{path}: is not a list of DFEW: the column {absent[0]} is missing (line 1)")
    clip, label = header.index("video_name"), header.index("label")
    for number, cells in rows:
        whole = [*cells, *[""] * len(header)]
        yield number, _without_zeros(whole[clip].strip()) or whole[clip], whole[label]


def _mafw_lines(path: Path, text: str) -> Iterator[Line]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            name, _, label = line.strip().partition(" ")
            yield number, _without_zeros(name.rpartition(".")[0]) or name, label


def _digest(keys: set[str]) -> str:
    return hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()


def _fold(utterance: Utterance) -> list[str]:
    return [f"fold {(utterance.attributes or {}).get('fold')} {utterance.label}"]


_DFEW_LABELS = ("happy", "sad", "neutral", "angry", "surprise", "disgust", "fear")
_MAFW_LABELS = (
    *("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise", "contempt", "anxiety"),
    *("helplessness", "disappointment"),
)
# Counts and digests of the lists that MAE-DFER (Sun et al., 2023) publishes, saved/data of its repository at 80b651d4.
DFEW = FoldLists(
    *("dfew", "DFEW", "EmoLabel_DataSplit/test(single-labeled)/set_{fold}.csv", _dfew_lines),
    {str(number): label for number, label in enumerate(_DFEW_LABELS, 1)},
    (
        (489, 379, 534, 435, 294, 29, 181),
        (489, 379, 534, 435, 294, 29, 181),
        (489, 379, 534, 435, 294, 29, 180),
        (489, 379, 534, 434, 294, 29, 180),
        (489, 378, 533, 434, 293, 29, 180),
    ),
    (
        "1978a25d454d5600e19b1c52e28a828271237ec29d74ddcbbf28b1b5ce548f42",
        "66c36bbf8f1c9c9050842aa500a5b0d44a6834b0b7db1984821a1caa0c4a4491",
        "dd69b4d73c3ee44d021dbf7a718fafbcf1120cdde6a0a5f3bd9b4fc5d297ffee",
        "221ede315520a8c45706587a0df43f7cfa430cc29ce3721bc2967a42f09256f5",
        "8e8aea0ced693768175d3a09725f503e910216b6c8faa406b9e6dd9dd9350a01",
    ),
    *(("dfew7",), ("DFEW", "DFEW-part2")),
)
MAFW = FoldLists(
    *("mafw", "MAFW", "Train & Test Set/single/no_caption/set_{fold}/test.txt", _mafw_lines),
    {label: label for label in _MAFW_LABELS},
    (
        (278, 128, 125, 249, 228, 294, 215, 48, 184, 53, 37),
        (278, 128, 125, 249, 228, 294, 215, 47, 183, 53, 37),
        (278, 128, 125, 248, 228, 294, 214, 47, 183, 52, 36),
        (278, 128, 125, 248, 227, 294, 214, 47, 183, 52, 36),
        (278, 127, 125, 248, 227, 294, 214, 47, 183, 52, 36),
    ),
    (
        "db13c67e9136f1e0f6d15f8916c158c8639708432948d14d80231fecefac2e04",
        "2de0ec6fcce1a577c5944d922a41019fb3baddfa5193e32696b050f4e3564bf2",
        "314141e0b509a2c354e22f12943657dcd9b89bf3d1d0da91f991de93c714ae6d",
        "aef358e44264329c109dbe9c0999f5f50cd3b09fa08357b4b586552b0317baa8",
        "83551f77451a4a0ca8433879145b545ef09a76e6e47ceba9a3559de0c3874772",
    ),
    *(("mafw11",), ("MAFW",)),
)
