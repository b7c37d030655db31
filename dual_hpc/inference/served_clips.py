"""What a client sends a served model: clips as base64 text, one row each.

    {"dataframe_records": [{"clip": "UklGRi...", "text": "I am fine", "start": 0.5, "end": 2.0}]}

A server reads no file of its disk, and asks no address of the network, because a client names it. `path` is refused,
unless the server's operator has set DUAL_SERVE_FOLDER to a folder: then files below it may be named.
"""

from __future__ import annotations

import base64
import binascii
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dual_hpc.data.preparation.record import Side
from dual_hpc.errors import UserError
from dual_hpc.files.real_path import real_path
from dual_hpc.inference.predictor import Predictor

FOLDER = "DUAL_SERVE_FOLDER"
_ROWS = 256
_LARGEST = 512 << 20  # bytes of a clip
_REFUSED = f"path: no such file below the folder that the server's operator allows ({FOLDER}); send the file as `clip`"


class ClipRow(BaseModel):
    """One row of a request.

    Attributes:
        clip: a media file, as base64 text.
        path: instead of it, a file below the operator's folder.
        text: the transcript.
        start, end: seconds of the part to use.
        side: the half of a split screen that shows the speaker.
    """

    model_config = ConfigDict(extra="forbid")

    clip: str | None = None
    path: str | None = Field(None, min_length=1, max_length=4096)
    text: str | None = None
    start: float | None = Field(None, ge=0, allow_inf_nan=False)
    end: float | None = Field(None, gt=0, allow_inf_nan=False)
    side: Side | None = None

    @model_validator(mode="after")
    def _one_source(self) -> ClipRow:
        if (self.clip is None) == (self.path is None):
            raise ValueError("give clip (a media file as base64 text), or path where the server allows it")
        if self.end is not None and self.end <= (self.start or 0.0):
            raise ValueError("end must be greater than start")
        return self


def answer_clips(predictor: Predictor, rows: Iterable[Mapping[str, Any]], scratch: Path) -> list[dict[str, Any]]:
    """What `dual-hpc predict` answers for each row, without the name of a file.

    Args:
        rows: columns that are missing, None or NaN are left out.
        scratch: an empty folder, which the caller deletes.

    Raises:
        UserError: names the row and what is wrong with it.
    """
    asked = list(rows)
    if not 1 <= len(asked) <= _ROWS:
        raise UserError(f"the request must have 1 to {_ROWS} rows, it has {len(asked)}")
    return [_answer(predictor, number, row, scratch) for number, row in enumerate(asked, 1)]


def _answer(predictor: Predictor, number: int, row: Mapping[str, Any], scratch: Path) -> dict[str, Any]:
    try:
        given = ClipRow.model_validate({key: value for key, value in row.items() if not _is_missing(value)})
    except ValidationError as error:
        first = error.errors()[0]
        reason = first["msg"].removeprefix("Value error, ")
        raise UserError(f"row {number}: {': '.join([*map(str, first['loc']), reason])}") from error
    path = scratch / f"clip_{number}"
    try:
        if given.clip is not None:
            path.write_bytes(_decoded(given.clip))
        else:
            path = allowed_file(str(given.path), os.environ.get(FOLDER))
        answer = predictor.predict(path, given.text, given.start, given.end, given.side).to_json()
    except UserError as error:
        raise UserError(f"row {number}: {str(error).replace(f'{path}', 'the clip')}") from error
    finally:
        if given.clip is not None:
            path.unlink(missing_ok=True)
    return {key: value for key, value in answer.items() if key != "input"}


def allowed_file(name: str, folder: str | None) -> Path:
    """A file that a client names, if it lies below the folder that the operator allows.

    Raises:
        UserError: it does not, there is no such folder or file; the same words for all, which tell nothing of the disk.
    """
    if not folder or "\0" in name:
        raise UserError(_REFUSED)
    root = real_path(folder)
    try:
        path = real_path(root / name)
        allowed = path.is_relative_to(root) and path.is_file()
    except (OSError, RuntimeError, ValueError):
        allowed = False
    if not allowed:
        raise UserError(_REFUSED)
    return path


def _decoded(text: str) -> bytes:
    if len(text) > _LARGEST * 4 // 3 + 4:
        raise UserError(f"clip: is larger than {_LARGEST >> 20} MiB")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UserError("clip: is not base64 text of a media file") from error


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
