"""What stands in for a file that is not there: a Git LFS pointer, a web page, nothing at all.

Repositories and download tools leave small files under the names of large ones. Whatever reads media, weights or
tokenizers fails on them with words about formats; here they are called what they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

_HEAD = 512  # bytes that are looked at
_LFS = b"version https://git-lfs"


def stand_in(path: str | Path) -> str | None:
    """What a file is instead of its content, and what to do, as the end of a sentence; None where it may be real."""
    try:
        if not Path(path).is_file():
            return None
        size = Path(path).stat().st_size
        with open(path, "rb") as file:
            head = file.read(_HEAD)
    except (OSError, ValueError):
        return None
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not size:
        return "is empty (0 bytes): a download or copy was cut off"
    if head.startswith(_LFS):
        return f"is a Git LFS pointer of {size} bytes, not the file itself: run `git lfs pull` where it was cloned"
    if b"/annex/objects/" in head and size < _HEAD:
        return f"is a git-annex pointer of {size} bytes, not the file itself: run `git annex get` where it was cloned"
    if text.startswith((b"<!doctype html", b"<html")):
        return "is a web page, not the file itself: the download asked for a login or failed"
    return None


def first_stand_in(paths: Iterable[Path]) -> str | None:
    """`PATH: what it is` of the first of several files that is only a stand-in; None if none is."""
    return next((f"{path}: {found}" for path in paths if (found := stand_in(path)) is not None), None)
