"""Which media file below a MELD folder is which clip, by its own name and the names of its folders."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from shards.corpora.media import MediaFiles, search

SPLITS = {  # and the release's name of each one's folder
    "train": "train_splits",
    "dev": "dev_splits_complete",
    "test": "output_repeated_splits_test",
}
_WORDS = {"train": r"train(?:ing)?", "dev": r"(?:dev|val|valid|validation)", "test": r"test(?:ing)?"}
_IN_NAME = {split: re.compile(rf"(?<![a-z]){word}(?![a-z])") for split, word in _WORDS.items()}
ARCHIVES = {
    split: re.compile(rf"^(.*[^a-z])?{word}([^a-z].*)?\.(tar|tgz|zip|tar\.gz)$", re.IGNORECASE)
    for split, word in _WORDS.items()
}
_NAME = re.compile(r"^(?:(train|dev|test)_)?(final_videos_test)?dia(\d{1,6})_utt(\d{1,6})$", re.IGNORECASE)


@dataclass(frozen=True)
class Clip:
    """One clip; a twin is another recording of the same row (`meld_twins`). Without a split it is nobody's."""

    split: str
    dialogue: int
    utterance: int
    is_twin: bool = False

    @property
    def name(self) -> str:
        """As the release writes it, without its suffix."""
        return f"{'final_videos_test' if self.is_twin else ''}dia{self.dialogue}_utt{self.utterance}"

    @property
    def key(self) -> str:
        """Of its utterance in the shards."""
        return f"{self.split}_dia{self.dialogue}_utt{self.utterance}"


@dataclass(frozen=True)
class Clips:
    """All that lies below a MELD folder."""

    media: dict[Clip, MediaFiles]
    unknown: list[Path]  # media that are not named like clips
    others: list[Path]  # files that are no media
    broken: list[Path]  # links of media to nothing

    def of(self, split: str) -> dict[Clip, MediaFiles]:
        """Clips of a split, twins included; of "" those that lie in no split's folder."""
        return {clip: files for clip, files in self.media.items() if clip.split == split}

    def folders(self, split: str) -> set[Path]:
        """Where its clips lie, and the folders that hold these."""
        near = {path.parent for files in self.of(split).values() for path in (*files.audio, *files.video)}
        return near | {folder.parent for folder in near}


def find_clips(root: Path) -> Clips:
    """Every clip below a folder."""
    preferred = [
        place for split, name in SPLITS.items() for place in (f"{split}/{name}$", f"{name}$", f"{split}$", f"{split}")
    ]
    found = search(root, clip_of, preferred)
    return Clips(found.media, found.unknown, found.others, found.broken)


def clip_of(path: str) -> Clip | None:
    """The clip at a path from the corpus's folder: train/video/dia0_utt1.mp4; None for another name."""
    *folders, file = path.split("/")
    name = _NAME.match(file.rpartition(".")[0])
    if name is None:
        return None
    split = (name[1] or "").lower() or split_of(folders) or ("test" if name[2] else "")
    return Clip(split, int(name[3]), int(name[4]), is_twin=bool(name[2]))


def split_of(folders: list[str]) -> str:
    """The split that the innermost folder with the name of one names, alone: "" if there is none."""
    for folder in reversed(folders):
        named = [split for split, word in _IN_NAME.items() if word.search(folder.lower())]
        if len(named) == 1:
            return named[0]
    return ""
