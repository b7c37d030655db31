"""Corpora of clips with five published folds, the lists of which are the labels: DFEW and MAFW, faces in films.

Jiang et al., 2020; Liu et al., 2022. DFEW has `EmoLabel_DataSplit/test(single-labeled)/set_1.csv` (video_name, label
1 to 7), MAFW `Train & Test Set/single/no_caption/set_1/test.txt` (`00001.mp4 anger`). Each clip of one emotion is in
one of the five test lists, which is its attribute `fold`; the others train. Who is seen is not published.
"""

from __future__ import annotations

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
        clips: utterances that the lists have together.
    """

    name: str
    title: str
    test_list: str
    lines: Callable[[Path, str], Iterator[Line]]
    labels: Mapping[str, str]
    clips: int
    protocols: tuple[str, ...]
    roots: tuple[str, ...]

    def corpus(self) -> Corpus:
        """As the registry takes it."""
        published = {"utterances": self.clips}
        return Corpus(self.title, partial(read, self), (*self.protocols, "all"), published, _all, ("encoding",))


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
            elif clip in seen:
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
    tell_ignored(plan, packed, "utterances")
    tell_broken_links(plan, found.broken)
    if strays := len(found.unknown) + sum(clip not in seen for clip in found.media):
        plan.notes.append(f"{strays} clips are in no list, such as those of several emotions, and are ignored")
    return plan


def _planned(corpus: FoldLists, clip: str, label: str, fold: int, files: MediaFiles) -> Planned:
    assert files.sound is not None, "looked for by `read`"
    key = f"{corpus.name}_{int(clip):05d}"
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


def _all(utterance: Utterance) -> list[str]:
    return ["utterances"]


_DFEW_LABELS = ("happy", "sad", "neutral", "angry", "surprise", "disgust", "fear")
_MAFW_LABELS = (
    *("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise", "contempt", "anxiety"),
    *("helplessness", "disappointment"),
)
DFEW = FoldLists(
    *("dfew", "DFEW", "EmoLabel_DataSplit/test(single-labeled)/set_{fold}.csv", _dfew_lines),
    {str(number): label for number, label in enumerate(_DFEW_LABELS, 1)},
    *(11697, ("dfew7",), ("DFEW", "DFEW-part2")),
)
MAFW = FoldLists(
    *("mafw", "MAFW", "Train & Test Set/single/no_caption/set_{fold}/test.txt", _mafw_lines),
    {label: label for label in _MAFW_LABELS},
    *(9172, ("mafw11",), ("MAFW",)),
)
