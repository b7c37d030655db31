"""The media files of a corpus by what they are of: which hold sound, which pictures, which of several is packed.

Sound and pictures are looked for separately, wherever in the corpus's folder they lie: people keep sound that they
extracted beside the clips, in the same folder or in one of its own. Nothing that was found is left aside in silence.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from shards.corpora.text import files_below
from shards.plan import Plan, shown

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus", ".aac", ".sph", ".aiff", ".aif", ".wma"})
VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".ts"})
_SOUND_FOLDER = re.compile(r"(?<![a-z])(audios?|wavs?|sounds?|speech)(?![a-z])")

Key = TypeVar("Key", bound=Hashable)


@dataclass
class MediaFiles:
    """The files of one key, best first.

    Attributes:
        audio: files of sound alone.
        video: files of pictures, which may hold sound too.
    """

    audio: list[Path] = field(default_factory=list)
    video: list[Path] = field(default_factory=list)

    @property
    def sound(self) -> Path | None:
        """Where the sound is: a file of its own, else in that of the pictures, if that has any."""
        return next(iter([*self.audio, *self.video]), None)

    @property
    def pictures(self) -> Path | None:
        """Where the pictures are."""
        return self.video[0] if self.video else None


@dataclass
class Folder(Generic[Key]):
    """What lies below a corpus's folder."""

    root: Path
    media: dict[Key, MediaFiles]
    unknown: list[Path]  # media that are named like nothing of the corpus
    others: list[Path]  # all else, in order
    broken: list[Path]  # links of media to nothing


def search(root: Path, key_of: Callable[[str], Key | None], preferred: Sequence[str] = ()) -> Folder[Key]:
    """Every media file below a folder.

    Args:
        key_of: a media file's path from `root`, in forward slashes -> what it is of; None: nothing of the corpus.
        preferred: regular expressions of folders from `root`; files in the first are better than those in the next,
            and the latter better than those elsewhere. Otherwise fewer folders are better, then names in order.
    """
    links: list[Path] = []
    found = Folder[Key](root, {}, [], [], [])
    folders = [re.compile(rf"{pattern}(/|$)") for pattern in preferred]

    def rank(path: Path) -> tuple[int, int, str]:
        inside = path.relative_to(root).parent.as_posix()
        place = next((n for n, folder in enumerate(folders) if folder.match(inside)), len(folders))
        return place, inside.count("/"), path.as_posix()

    for path in files_below(root, links):
        suffix = path.suffix.lower()
        if suffix not in AUDIO_SUFFIXES and suffix not in VIDEO_SUFFIXES:
            found.others.append(path)
        elif (key := key_of(path.relative_to(root).as_posix())) is None:
            found.unknown.append(path)
        else:
            files = found.media.setdefault(key, MediaFiles())
            (files.audio if suffix in AUDIO_SUFFIXES else files.video).append(path)
    found.broken += [link for link in links if link.suffix.lower() in AUDIO_SUFFIXES | VIDEO_SUFFIXES]
    for files in found.media.values():
        files.audio.sort(key=rank)
        files.video.sort(key=rank)
        _set_sound_apart(root, files)
    return found


def _set_sound_apart(root: Path, files: MediaFiles) -> None:
    """A video's container in a folder of sounds holds the sound of pictures that lie elsewhere."""

    def is_sound(path: Path) -> bool:
        return _SOUND_FOLDER.search(path.relative_to(root).parent.as_posix().lower()) is not None

    if any(not is_sound(path) for path in files.video):
        files.audio += [path for path in files.video if is_sound(path)]
        files.video = [path for path in files.video if not is_sound(path)]


def tell_broken_links(plan: Plan, links: Sequence[Path]) -> None:
    """Note media that are only links to nothing."""
    if links:
        plan.notes.append(
            f"{len(links)} media files are links to nothing, as of a data set whose content was not fetched "
            f"(the first: {plan.shown(links[0])})"
        )


def tell_ignored(plan: Plan, chosen: Iterable[MediaFiles], what: str) -> None:
    """Note which of several files of one kind are packed and which are not.

    Args:
        chosen: the files of each utterance (or dialogue) that is packed.
        what: they are, in the plural.
    """
    files = list(chosen)
    for kind in ("audio", "video"):
        ignored: dict[tuple[str, str], list[Path]] = {}
        for first, *rest in (paths for one in files if (paths := getattr(one, kind))):
            for path in rest:
                if not os.path.samefile(path, first):
                    ignored.setdefault((pattern(first, plan.root), pattern(path, plan.root)), []).append(path)
        for (packed, other), paths in ignored.items():
            plan.notes.append(
                f"{len(paths)} {what} have more than one {kind} file: {packed} is packed, {other} is ignored "
                f"(the first: {plan.shown(paths[0])})"
            )


def tell_sound_apart(plan: Plan, chosen: Iterable[MediaFiles], what: str) -> None:
    """Note where sound is read from a file of its own although the video file might hold it; arguments as above."""
    files = [one for one in chosen if one.video]
    apart = Counter(pattern(one.audio[0], plan.root) for one in files if one.audio)
    for place, count in apart.items():
        plan.notes.append(f"the sound of {count} {what} is read from {place}, not from their video files")
    together = sum(not one.audio for one in files)
    if apart and together:
        plan.notes.append(f"{together} {what} have no sound file there; their video file is asked for it")


def pattern(path: Path, root: Path) -> str:
    """A file's folder and kind, as `train/audio/*.wav`."""
    inside = Path(shown(path, root)).parent
    return f"{'' if inside == Path('.') else f'{inside.as_posix()}/'}*{path.suffix}"
