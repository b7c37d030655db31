"""What a column of a table was probably meant to be, where its name is none that is known."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

# As other tools and people call them, in lower case.
_MEANT = {
    "file": ("path", "filename", "file_name", "filepath", "file_path", "clip", "recording", "media"),
    "audio": ("wav", "audio_path", "audio_file", "sound", "speech"),
    "video": ("mp4", "video_path", "video_file", "movie"),
    "label": ("emotion", "emotions", "class", "category", "target", "y"),
    "text": ("transcript", "transcription", "sentence", "words"),
    "speaker": ("actor", "subject", "spk", "person", "participant"),
    "split": ("subset", "partition", "part"),
    "start": ("onset", "begin", "start_time"),
    "end": ("offset", "stop", "end_time"),
}
_NAMES = {other: name for name, others in _MEANT.items() for other in others}


def meant(column: str, columns: Sequence[str]) -> str | None:
    """The known column that an unknown one most likely is; None where nothing is near."""
    found = column.strip().lower()
    for stem in (found, found.removesuffix("_id").removesuffix("_name")):
        if stem in columns:
            return stem
        if _NAMES.get(stem) in columns:
            return _NAMES[stem]
    return next(iter(difflib.get_close_matches(found, columns, n=1, cutoff=0.8)), None)


def renames(header: Sequence[str], columns: Sequence[str]) -> str:
    """`rename 'emotion' to label`, for those of a header that are unknown and probably known ones; "" for none."""
    pairs: dict[str, str] = {}
    for column in header:
        name = None if column in columns else meant(column, columns)
        if name is not None and name not in header and name not in pairs.values():
            pairs[column] = name
    return "rename " + ", ".join(f"{column[:40]!r} to {name}" for column, name in pairs.items()) if pairs else ""
