"""Answer many clips; one that cannot be read costs one line, the others are still answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TextIO

from dual_hpc.data.decoding.container import UnreadableMedia
from dual_hpc.data.decoding.forward import ForwardReading
from dual_hpc.errors import DualError, UserError, one_line
from dual_hpc.inference.answer_format import AnswerWriter
from dual_hpc.inference.explanation import Explanation, explain
from dual_hpc.inference.recording import Recording, RecordingOptions
from dual_hpc.inference.requests import BadRequest, Clip, is_media_name
from dual_hpc.model.confidence import Confidence
from dual_hpc.printable import printable

if TYPE_CHECKING:
    from dual_hpc.inference.predictor import Predictor

_NAMED = 3  # files that are no media and are named


def answer_all(
    predictor: Predictor,
    requests: Iterable[Clip | BadRequest],
    out: TextIO,
    errors: TextIO,
    style: str = "jsonl",
    recordings: RecordingOptions | None = None,
    keep: Callable[[Recording], None] | None = None,
    explained: Callable[[Explanation], None] | None = None,
    risk: float | None = None,
    written: Callable[[Mapping[str, Any]], None] | None = None,
) -> int:
    """Write the answer to each request to `out`, in order, as soon as it is known.

    A request that cannot be answered gives {"input", "error"} there and one line on `errors`. What a folder holds
    besides media is counted, in one line at the end.

    Args:
        style: one of `answer_format.FORMATS`.
        recordings: cut every clip into windows; None: one answer for each clip.
        keep: is given each recording when all of its windows are answered.
        explained: is given the explanation of each answer, which its record then has; None: nothing is explained.
        written: is given each record that was written.
        risk: answers are marked `unsure` below the confidence above which so many were wrong on the validation split.

    Returns:
        The exit code: 0, or 2 if any request could not be answered.
    """
    failed, no_media = 0, []
    least = None if risk is None else least_confidence(predictor.confidence, risk)
    writer, reading, before = AnswerWriter(out, style, predictor.labels, predictor.dimensions), ForwardReading(), None
    for request in requests:
        if isinstance(request, Clip) and request.path != before:
            reading.close()  # what follows are no pieces of that file
            before = request.path
        for record in _records(predictor, request, reading, recordings, keep, explained):
            if record is None:
                no_media.append(request.path.name if isinstance(request, Clip) else "")
                continue
            if "error" in record:
                failed += 1
                print(f"dual-hpc: {printable(record['error'])}", file=errors, flush=True)
            if least is not None and record.get("confidence") is not None:
                record["unsure"] = record["confidence"] < least
            writer.write(record)
            if written is not None:
                written(record)
    reading.close()
    if no_media:
        named = ", ".join(map(printable, no_media[:_NAMED])) + (", ..." if len(no_media) > _NAMED else "")
        files = "1 file is" if len(no_media) == 1 else f"{len(no_media)} files are"
        print(f"dual-hpc: {files} neither audio nor video and left out: {named}", file=errors, flush=True)
    return UserError.exit_code if failed else 0


def least_confidence(confidence: Confidence | None, risk: float) -> float:
    """Below which answers are unsure; above 1 where no answers were right often enough.

    Raises:
        UserError: not a share, or the model's confidence was not measured.
    """
    if not 0 <= risk < 1:
        raise UserError(f"--unsure: {risk:g} must be a share of wrong answers, from 0 to below 1, such as 0.2")
    if confidence is None:
        raise UserError(
            "--unsure: this model's confidence was not measured; run `dual-hpc evaluate RUN --split validation`, then "
            "`dual-hpc ckpt export RUN --best`"
        )
    return round(confidence.least(risk), 4)


def _records(
    predictor: Predictor,
    request: Clip | BadRequest,
    reading: ForwardReading,
    recordings: RecordingOptions | None,
    keep: Callable[[Recording], None] | None,
    explained: Callable[[Explanation], None] | None,
) -> Iterator[dict[str, Any] | None]:
    """The records of one request; None for a file of a folder that is no media."""
    if isinstance(request, BadRequest):
        yield {"input": request.where, "error": f"{request.where}: {request.reason}"}
        return
    try:
        if recordings is None:
            with reading:
                prepared = predictor.prepare(request)
            answer = predictor.answer([request], [prepared])[0]
            record = answer.to_json()
            if explained is not None:
                why = explain(predictor, prepared, answer.label, answer.start)
                explained(why)
                record["explanation"] = why.to_json()
            yield {**request.extra, **record}
            return
        recording = Recording(predictor, request, recordings)
        yield from recording.records()
    except DualError as error:
        if request.found and isinstance(error, UnreadableMedia) and not is_media_name(request.path):
            yield None
            return
        yield {**request.extra, "input": str(request.path), "error": one_line(error)}
    except (OSError, ValueError, MemoryError) as error:  # of this clip; the others are still answered
        reason = one_line(f"{request.path}: {type(error).__name__}: {error}", 500)
        yield {**request.extra, "input": str(request.path), "error": reason}
    else:
        if keep is not None:
            keep(recording)
