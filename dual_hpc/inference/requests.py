"""Requests to a predictor, one clip each: from files, folders, JSONL manifests or standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from itertools import chain, count
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dual_hpc.data.preparation.record import Side
from dual_hpc.errors import UserError
from dual_hpc.files.json_text import parse_json
from dual_hpc.files.regular_file import open_regular


@dataclass(frozen=True)
class Clip:
    """One clip to answer.

    Attributes:
        path: a media file.
        text: its transcript, if there is one.
        start, end: seconds; the part of the file to use, None for its own bounds.
        side: the half of a split screen that shows the speaker, for models that were trained on halves; None: whole.
        extra: what the manifest's line says besides, which is handed back with the answer.
        found: the file was found in a folder: it need not be media.
    """

    path: Path
    text: str | None = None
    start: float | None = None
    end: float | None = None
    side: Side | None = None
    extra: dict[str, Any] = field(default_factory=dict, hash=False)
    found: bool = field(default=False, compare=False)


_LONGEST = 1 << 20  # bytes of a line
_MEDIA = {
    *(".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".wmv", ".asf", ".mpg", ".mpeg", ".ts", ".mts", ".flv"),
    *(".wav", ".w64", ".flac", ".mp3", ".m4a", ".aac", ".ac3", ".ogg", ".oga", ".ogv", ".opus", ".wma", ".aif"),
    *(".aiff", ".au", ".caf", ".amr", ".sph", ".dv", ".mxf", ".vob"),
}
_SHAPE = 'is not JSON like {"input": "clip.mp4", "text": "..."}'


@dataclass(frozen=True)
class BadRequest:
    """A manifest line that is not a valid request: its position and the reason."""

    where: str
    reason: str


class _Line(BaseModel):
    model_config = ConfigDict(extra="allow")

    input: str = Field(min_length=1)
    text: str | None = None
    start: float | None = Field(None, ge=0, allow_inf_nan=False)
    end: float | None = Field(None, gt=0, allow_inf_nan=False)
    side: Side | None = None

    @model_validator(mode="after")
    def _no_slip(self) -> _Line:
        for name in self.model_extra or {}:
            if near := get_close_matches(name, _Line.model_fields, n=1, cutoff=0.75):
                raise ValueError(f"{name}: did you mean {near[0]}?")
        return self

    @model_validator(mode="after")
    def _ordered(self) -> _Line:
        if self.end is not None and self.end <= (self.start or 0.0):
            raise ValueError("end must be greater than start")
        return self


def read_requests(
    sources: Sequence[str | Path], text: str | None = None, side: Side | None = None
) -> Iterator[Clip | BadRequest]:
    """Clips of all `sources`: a folder's files in order of name (hidden ones left out), the lines of a .jsonl manifest
    (relative inputs are relative to it) or of standard input ("-"), or the one file that it is.

    Args:
        text: the transcript of the one clip.
        side: of all clips whose line does not name another.

    Raises:
        UserError: no such file, an empty folder, or a text for several clips.
    """
    for source in sources:
        if str(source) != "-" and not (str(source) and Path(source).exists()):
            raise UserError(f"--input: {str(source)!r} does not exist")
    several = len(sources) > 1 or str(sources[0]) == "-" or Path(sources[0]).is_dir() or _is_manifest(Path(sources[0]))
    if several and text is not None:
        raise UserError("--text belongs to one clip: give the texts of several in a JSONL manifest")
    asked = chain.from_iterable([_requests(source, text) for source in sources])
    if side is None:
        return asked
    return (replace(one, side=side) if isinstance(one, Clip) and one.side is None else one for one in asked)


def is_media_name(path: Path) -> bool:
    """True where the ending says that a file is audio or video, so that one that cannot be read is damaged."""
    return path.suffix.lower() in _MEDIA


def _is_manifest(path: Path) -> bool:
    return path.suffix.lower() == ".jsonl"


def _requests(source: str | Path, text: str | None) -> Iterable[Clip | BadRequest]:
    path = Path(source)
    if str(source) == "-":
        return _lines(sys.stdin.buffer, "standard input", Path())
    if path.is_dir():
        return _folder(path)
    return _manifest(path) if _is_manifest(path) else [Clip(path, text)]


def _folder(folder: Path) -> list[Clip]:
    parts = ((path, path.relative_to(folder).parts) for path in sorted(folder.rglob("*")))
    clips = [
        Clip(path, found=True) for path, names in parts if path.is_file() and not any(n.startswith(".") for n in names)
    ]
    if not clips:
        raise UserError(f"--input: the folder {folder} holds no files")
    return clips


def _manifest(manifest: Path) -> Iterator[Clip | BadRequest]:
    with open_regular(manifest) as lines:
        yield from _lines(lines, str(manifest), manifest.parent)


def _lines(lines: BinaryIO, name: str, folder: Path) -> Iterator[Clip | BadRequest]:
    for number in count(1):
        if not (raw := lines.readline(_LONGEST)):
            return
        if not raw.strip():
            continue
        if len(raw) == _LONGEST and not raw.endswith(b"\n"):
            yield BadRequest(f"{name}:{number}", f"is longer than {_LONGEST:,} bytes; what follows is not read")
            return
        try:
            line = _Line.model_validate(parse_json(raw))
        except ValidationError as error:
            first = error.errors()[0]
            if first["type"] in ("model_type", "dataclass_type"):
                yield BadRequest(f"{name}:{number}", _SHAPE)
                continue
            reason = first["msg"].removeprefix("Value error, ")
            yield BadRequest(f"{name}:{number}", ": ".join([*map(str, first["loc"]), reason]))
        except ValueError:
            yield BadRequest(f"{name}:{number}", _SHAPE)
        else:
            yield Clip(folder / line.input, line.text, line.start, line.end, line.side, dict(line.model_extra or {}))
