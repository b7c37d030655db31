"""Acted corpora whose file names say everything: who speaks, which emotion, which sentence.

A corpus gives a pattern and what its groups mean; here its media are found, sound and pictures apart, and what is named
otherwise is told. Recordings come alone or in any folders below the source.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dual_hpc.errors import UserError
from dual_hpc.files.file_kind import placeholder
from shards.corpora.corpus import Corpus
from shards.corpora.media import MediaFiles, search, tell_broken_links, tell_ignored
from shards.corpora.text import corpus_root
from shards.plan import Plan, Planned, Source

if TYPE_CHECKING:
    from dual_hpc.data.format.sample import Utterance


@dataclass(frozen=True)
class Named:
    """What a file name says.

    Attributes:
        key: of the utterance, the same for its sound and its pictures.
        text: what is said, where the name tells.
        silent: the file holds pictures alone, by its name.
        left_out: why it does not belong to the corpus, such as "is a song"; None: it is one.
    """

    key: str
    speaker: str
    label: str
    raw_label: str
    text: str | None
    attributes: Mapping[str, str]
    silent: bool = False
    left_out: str | None = None


@dataclass(frozen=True)
class NamedCorpus:
    """A corpus of such files.

    Attributes:
        name: of the registry and of the samples' `corpus`.
        example: a file name, for messages.
        meaning: a file's path below the source, in forward slashes -> what its name says; None: nothing.
        published: label -> utterances, as the release has them.
        roots: names of the release's folder, below which its files lie.
        preferred: regular expressions of folders, the best first; see `media.search`.
    """

    name: str
    title: str
    example: str
    meaning: Callable[[str], Named | None]
    published: Mapping[str, int]
    protocols: tuple[str, ...]
    roots: tuple[str, ...] = ()
    preferred: tuple[str, ...] = ()
    dialogue_of: Callable[[Named], str] = field(default=lambda named: named.key)

    def read(self, source: Path) -> Plan:
        """The plan of a folder.

        Raises:
            UserError: no such folder, or no file in it is named as this corpus names its own.
        """
        plan = Plan(self.name, corpus_root(source, self.roots))
        said: dict[str, Named] = {}
        left_out: dict[str, list[str]] = {}

        def key_of(path: str) -> str | None:
            named = self.meaning(path)
            if named is None:
                return None
            if named.left_out is not None:
                left_out.setdefault(named.left_out, []).append(path)
                return f"\0{path}"
            return said.setdefault(named.key, named).key

        found = search(plan.root, key_of, self.preferred)
        media = {key: files for key, files in found.media.items() if key in said}
        if not media:
            raise UserError(
                f"source: {plan.root} holds no file that is named as {self.title} names its own, such as {self.example}"
            )
        packed = []
        for key in sorted(media):
            files, fetched = _fetched(media[key])
            if not fetched:
                plan.skip(key, "its files are only placeholders of Git LFS: fetch them (`git lfs pull`)", utterance=key)
                continue
            planned = self._planned(said[key], files)
            if planned is None:
                plan.skip(key, "has pictures without sound alone, and they cannot be read", utterance=key)
                continue
            plan.utterances.append(planned)
            packed.append(files)
        tell_ignored(plan, packed, "utterances")
        tell_broken_links(plan, found.broken)
        for reason, paths in sorted(left_out.items()):
            plan.notes.append(f"{len(paths)} files {reason} and are left out (the first: {min(paths)})")
        if found.unknown:
            plan.notes.append(
                f"{len(found.unknown)} media files are not named as {self.title} names its own and are ignored "
                f"(the first: {plan.shown(found.unknown[0])})"
            )
        return plan

    def _planned(self, named: Named, files: MediaFiles) -> Planned | None:
        pictures = _best_video(files, self.meaning)
        sound = files.audio[0] if files.audio else pictures
        if sound is None and pictures is None:
            return None
        if sound is pictures and pictures is not None and (told := self.meaning(pictures.name)) and told.silent:
            sound = None
        fields: dict[str, Any] = {
            "corpus": self.name,
            "dialogue": self.dialogue_of(named),
            "utterance": 0,
            "speaker": named.speaker,
            "label": named.label,
            "raw_label": named.raw_label,
            "scripted": True,
            "attributes": dict(named.attributes),
        }
        return Planned(
            named.key,
            fields,
            None if sound is None else Source(sound),
            None if pictures is None else Source(pictures),
            named.text,
        )

    def corpus(self) -> Corpus:
        """As the registry takes it."""
        published = {f"label {label}": count for label, count in self.published.items()}
        return Corpus(self.title, self.read, (*self.protocols, "all"), published, _label)


def whole_name(pattern: str) -> re.Pattern[str]:
    """A pattern of a file's stem, in any case."""
    return re.compile(rf"^{pattern}$", re.IGNORECASE)


def stem_of(path: str) -> str:
    """The name of a file without its folder and its last ending."""
    return path.rpartition("/")[2].rpartition(".")[0]


def _label(utterance: Utterance) -> list[str]:
    return [f"label {utterance.label}"]


def _fetched(files: MediaFiles) -> tuple[MediaFiles, bool]:
    """The files without those that only stand for others, and whether any is left."""
    kept = MediaFiles(*([path for path in paths if placeholder(path) is None] for paths in (files.audio, files.video)))
    return kept, bool(kept.audio or kept.video)


def _best_video(files: MediaFiles, meaning: Callable[[str], Named | None]) -> Path | None:
    """A video that has sound, where the sound has no file of its own."""
    if files.audio:
        return files.pictures
    with_sound = [path for path in files.video if (named := meaning(path.name)) is None or not named.silent]
    return next(iter([*with_sound, *files.video]), None)
