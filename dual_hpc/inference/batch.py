"""Answer many clips as JSON lines; one that cannot be read costs one line, the others are still answered."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TextIO

from dual_hpc.errors import DualError, UserError, one_line
from dual_hpc.inference.requests import BadRequest, Clip
from dual_hpc.printable import json_line, printable

if TYPE_CHECKING:
    from dual_hpc.inference.predictor import Predictor


def answer_all(predictor: Predictor, requests: Iterable[Clip | BadRequest], out: TextIO, errors: TextIO) -> int:
    """Write one JSON object per request to `out`, in order, as soon as it is known.

    A request that cannot be answered gives {"input", "error"} there and one line on `errors`.

    Returns:
        The exit code: 0, or 2 if any request could not be answered.
    """
    failed = 0
    for request in requests:
        if isinstance(request, BadRequest):
            record = {"input": request.where, "error": f"{request.where}: {request.reason}"}
        else:
            record = _record(predictor, request)
        if "error" in record:
            failed += 1
            print(f"dual-hpc: {printable(record['error'])}", file=errors, flush=True)
        print(json_line(record, out.encoding), file=out, flush=True)
    return UserError.exit_code if failed else 0


def _record(predictor: Predictor, clip: Clip) -> dict[str, Any]:
    try:
        return predictor.predict(clip.path, clip.text, clip.start, clip.end, clip.side).to_json()
    except DualError as error:
        return {"input": str(clip.path), "error": one_line(error)}
    except (OSError, ValueError, MemoryError) as error:  # of this clip; the others are still answered
        return {"input": str(clip.path), "error": one_line(f"{clip.path}: {type(error).__name__}: {error}", 500)}
