"""What stands in for a file that is not there: a Git LFS pointer, a web page, nothing at all, a picture, an archive.

Repositories and download tools leave small files under the names of large ones. Whatever reads media, weights or
tokenizers fails on them with words about formats; here they are called what they are.
"""

from __future__ import annotations

import os
from pathlib import Path

from dual_hpc.files.regular_file import open_regular

_LARGE = 1 << 34  # bytes; a smaller file is searched in seconds, and may lie on tape
_HEAD = 512  # bytes that are looked at
_LFS = b"version https://git-lfs"
_ANNEX = b"/annex/objects/"
_TAR_MAGIC = 257  # its offset
_KINDS = (  # beginning -> what it is; WebP and tar are known by what comes later
    (b"\x89PNG\r\n", "is a PNG picture"),
    (b"\xff\xd8\xff", "is a JPEG picture"),
    ((b"GIF87a", b"GIF89a"), "is a GIF picture"),
    ((b"II*\0", b"MM\0*"), "is a TIFF picture"),
    (b"%PDF-", "is a PDF document"),
    (b"PK\x03\x04", "is a zip archive or an Office document"),
    (b"\x1f\x8b", "is a gzip archive"),
    (b"BZh", "is a bzip2 archive"),
    (b"\xfd7zXZ\0", "is an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive"),
    (b"Rar!\x1a\x07", "is a rar archive"),
    (b"\x28\xb5\x2f\xfd", "is a zstandard archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an Office document"),
)
_OF_MODELS = {".safetensors", ".bin", ".json", ".txt", ".model"}  # weights, configurations, vocabularies


def stand_in(path: str | Path) -> str | None:
    """What a file is instead of its content, and what to do, as the end of a sentence; None where it may be real."""
    try:
        if Path(path).is_file() and not Path(path).stat().st_size:
            return "is empty (0 bytes): a download or copy was cut off"
    except (OSError, ValueError):
        return None
    return placeholder(path)


def unwritten(path: str | Path) -> str | None:
    """As `stand_in`, of a large file that is almost only holes: decoders search all of them for the next frame."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    if found.st_size < _LARGE or found.st_blocks * 512 > found.st_size // 100:
        return None
    return f"holds nothing in almost all of its {found.st_size:,} bytes: a download or copy was cut off"


def placeholder(path: str | Path) -> str | None:
    """As `stand_in`, without empty files, which may be meant."""
    try:
        if not Path(path).is_file():
            return None
        size = Path(path).stat().st_size
        with open_regular(path) as file:
            head = file.read(_HEAD)
    except (OSError, ValueError):
        return None
    if head.startswith(_LFS):
        return f"is a Git LFS pointer of {size} bytes, not the file itself: run `git lfs pull` where it was cloned"
    if _ANNEX in head.replace(b"\\", b"/") and size < _HEAD:
        return f"is a git-annex pointer of {size} bytes, not the file itself: run `git annex get` where it was cloned"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype html", b"<html")):
        return "is a web page, not the file itself: the download asked for a login or failed"
    return None


def other_kind(path: str | Path) -> str | None:
    """What a file is that is neither text nor a recording, by its first bytes, as the end of a sentence; None: unknown.

    A GIF may move, and then it is a video.
    """
    try:
        if not Path(path).is_file():
            return None
        with open_regular(path) as file:
            head = file.read(_HEAD)
    except (OSError, ValueError):
        return None
    if head[_TAR_MAGIC : _TAR_MAGIC + 5] == b"ustar":
        return "is a tar archive"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "is a WebP picture"
    if head.startswith(b"BM") and head[6:10] == bytes(4):
        return "is a BMP picture"
    return next((kind for beginning, kind in _KINDS if head.startswith(beginning)), None)


def first_placeholder(folder: str | os.PathLike[str]) -> str | None:
    """`NAME what it is` of the first file of a model's directory that is only a placeholder; None if none is."""
    try:
        files = sorted(path for path in Path(folder).iterdir() if path.suffix in _OF_MODELS)
    except OSError:
        return None
    return next((f"{path.name} {found}" for path in files if (found := placeholder(path)) is not None), None)
