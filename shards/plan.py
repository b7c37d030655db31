"""What a corpus reader finds before any media is decoded: utterances to pack, and what is left out with its reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class Source:
    """A stretch of a media file; None means its beginning or end (seconds)."""

    path: Path
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True)
class Planned:
    """One utterance to pack."""

    key: str
    fields: dict[str, Any]  # the fields of `Utterance` that the corpus tells
    audio: Source | None
    video: Source | None
    text: str | None
    # IEMOCAP shows two actors side by side: is the speaker the one whom the recording's name names?
    actor: Literal["named", "other"] | None = None
    annotated_seconds: float | None = None  # how long the corpus says that whole media files are, to compare


@dataclass(frozen=True)
class Skip:
    """Something left out: where it is (file, or file:line, or key) and why.

    `utterance` names the utterance that is thereby not packed, by its key or, where that cannot be read, by its place;
    None where none is lost, as by a second line for the same.
    """

    where: str
    reason: str
    utterance: str | None = None


@dataclass
class Plan:
    """A corpus as its reader understood it; sources are recorded relative to `root`."""

    corpus: str
    root: Path
    utterances: list[Planned] = field(default_factory=list)
    skips: list[Skip] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # ignored, chosen or guessed, in numbers
    choices: dict[str, str] = field(default_factory=dict)  # options of the reader, recorded with those of packing

    def skip(self, where: str, reason: str, utterance: str | None = "") -> None:
        """Note something that is left out; see `Skip`. Not said, it is an utterance that only its place names."""
        self.skips.append(Skip(where, reason, where if utterance == "" else utterance))

    def shown(self, path: Path) -> str:
        """A path as reports write it."""
        return shown(path, self.root)


def shown(path: Path, root: Path) -> str:
    """A path as reports and metadata write it: relative to the corpus, or the bare name outside it; in one line."""
    inside = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    return "".join(c if c.isprintable() else "\ufffd" for c in inside)  # a name need not even be UTF-8
