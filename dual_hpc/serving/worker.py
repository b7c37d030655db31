"""The process that has the model: recordings in, the lines of `dual-hpc predict` out, one recording at a time.

It decodes what strangers send. Whatever that does to it, the server is another process, which ends it and starts it
again.
"""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dual_hpc.serving.options import WHOLE, RequestOptions

if TYPE_CHECKING:
    from dual_hpc.inference.predictor import Predictor
    from dual_hpc.inference.recording import Recording, RecordingOptions
    from dual_hpc.inference.timeline import Stretch

STOP = "stop"  # what the server sends to end an answer


@dataclass(frozen=True)
class ModelSource:
    """Which model a worker loads, and how.

    Attributes:
        folder: of a saved model.
        device: torch's name; None: a GPU where there is one.
        plugins: modules that are imported first.
        defaults: for requests that do not say.
    """

    folder: Path
    device: str | None = None
    plugins: tuple[str, ...] = ()
    defaults: RequestOptions = field(default_factory=RequestOptions)


@dataclass(frozen=True)
class ModelFacts:
    """What the page shows of a model.

    Attributes:
        reads: of audio, video, text.
        max_seconds: that it reads of a clip.
        window, hop: seconds, where a request does not say; `whole` is one answer for each recording.
        confidence: it was measured.
    """

    labels: list[str]
    colours: list[str]
    reads: list[str]
    max_seconds: float
    window: float | str
    hop: float | None
    confidence: bool


@dataclass(frozen=True)
class Job:
    """A recording to answer: where it lies, what people call it, and how it is answered."""

    path: Path
    name: str
    options: RequestOptions


@dataclass(frozen=True)
class Event:
    """What a worker says.

    Attributes:
        kind: `ready` with `ModelFacts`, `failed` with (exit code, message); then of each job some `line`s of JSON, and
            `done` with what follows them, or `refused` with a message, or `stopped`.
    """

    kind: str
    content: Any = None


def work(connection: Connection, source: ModelSource) -> None:
    """Load the model and answer jobs until the server hangs up."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the server ends its worker itself
        signal.signal(number, signal.SIG_IGN)
    from dual_hpc.errors import DualError, one_line

    try:
        answerer = _Answerer(source)
    except Exception as error:
        code = error.exit_code if isinstance(error, DualError) else 1
        connection.send(Event("failed", (code, one_line(error) or type(error).__name__)))
        return
    connection.send(Event("ready", answerer.facts()))
    try:
        while True:
            job = connection.recv()
            if isinstance(job, Job):  # a late STOP finds nothing to stop
                answerer.answer(job, connection)
    except (EOFError, OSError):
        return  # the server has ended


class _Stopped(Exception):
    """The server does not want the rest of the answer."""


class _Lines(io.StringIO):
    """Where `predict` writes its lines: each goes to the server, with the client's name of the recording.

    Attributes:
        failure: why there are none.
    """

    def __init__(self, connection: Connection, job: Job) -> None:
        super().__init__()
        self._connection, self._job = connection, job
        self.failure: str | None = None

    def write(self, text: str) -> int:
        if text.strip():
            self._take(text)
        if self._connection.poll():
            self._connection.recv()
            raise _Stopped
        return len(text)

    def _take(self, text: str) -> None:
        from dual_hpc.printable import json_line

        record = {**json.loads(text), "input": self._job.name}
        if "error" in record:
            record["error"] = record["error"].replace(str(self._job.path), self._job.name)
        if "error" in record and "start" not in record:
            self.failure = record["error"]
            return
        self._connection.send(Event("line", json_line(record, "utf-8")))


class _Answerer:
    """A loaded model."""

    def __init__(self, source: ModelSource) -> None:
        from dual_hpc.inference.batch import least_confidence
        from dual_hpc.inference.predictor import Predictor
        from dual_hpc.plugins import load_plugins

        load_plugins(source.plugins)
        self._predictor: Predictor = Predictor.from_pretrained(source.folder, device=source.device)
        self._defaults = source.defaults
        self._recordings(self._defaults)  # refuse before anybody is answered
        if self._defaults.unsure is not None:
            least_confidence(self._predictor.confidence, self._defaults.unsure)

    def facts(self) -> ModelFacts:
        from dual_hpc.modality import Modality
        from dual_hpc.palette import COLOURS

        predictor, cut = self._predictor, self._recordings(self._defaults)
        return ModelFacts(
            labels=list(predictor.labels),
            colours=[COLOURS[number % len(COLOURS)] for number in range(len(predictor.labels))],
            reads=[str(one) for one in Modality if one in predictor.reads],
            max_seconds=predictor.preprocessing.max_seconds,
            window=WHOLE if cut is None else cut.windowing.seconds,
            hop=None if cut is None else cut.windowing.hop,
            confidence=predictor.confidence is not None,
        )

    def answer(self, job: Job, connection: Connection) -> None:
        """Send the events of one job."""
        from dual_hpc.errors import DualError
        from dual_hpc.inference.batch import answer_all
        from dual_hpc.inference.requests import Clip

        options = _filled(job.options, self._defaults)
        lines = _Lines(connection, job)
        kept: list[Recording] = []
        clip = Clip(job.path, options.text, options.start, options.end, options.side)
        try:
            how = self._recordings(options)
            errors = io.StringIO()
            answer_all(self._predictor, [clip], lines, errors, "jsonl", how, kept.append, risk=options.unsure)
            if lines.failure is not None:
                connection.send(Event("refused", (422, lines.failure)))
            else:
                connection.send(Event("done", _rest(kept, options, job)))
        except _Stopped:
            connection.send(Event("stopped"))
        except DualError as error:
            reason = str(error).removeprefix("--").replace(str(job.path), job.name)
            connection.send(Event("refused", (400 if error.exit_code == 2 else 500, reason)))
        except (BrokenPipeError, ConnectionError):
            raise
        except Exception as error:
            reason = f"internal error: {type(error).__name__}: {error}".replace(str(job.path), job.name)
            connection.send(Event("refused", (500, reason)))

    def _recordings(self, options: RequestOptions) -> RecordingOptions | None:
        """How a recording is cut; None: not at all."""
        from dual_hpc.errors import UserError
        from dual_hpc.inference.recording import RecordingOptions
        from dual_hpc.inference.windows import Windowing

        if options.window == WHOLE:
            asked = {"hop": options.hop, "speech": options.speech, "smooth": options.smooth}
            if wrong := [name for name, value in asked.items() if value]:
                raise UserError(f"--{wrong[0]}: is for windows; leave it out, or --window {WHOLE}")
            return None
        seconds = None if options.window is None else float(options.window)
        windowing = Windowing.of(seconds, options.hop, self._predictor.preprocessing.max_seconds)
        return RecordingOptions(windowing, (), options.speech, options.smooth or 0.0)


def _filled(asked: RequestOptions, defaults: RequestOptions) -> RequestOptions:
    """What a request says, and where it says nothing, the server's own; a window of its own brings its own hop."""
    names = ["window", "smooth", "speech", "unsure", *(["hop"] if asked.window is None else [])]
    if asked.window == WHOLE:
        names = ["unsure"]
    return asked.model_copy(update={name: getattr(defaults, name) for name in names if getattr(asked, name) is None})


def _rest(kept: Sequence[Recording], options: RequestOptions, job: Job) -> dict[str, Any]:
    """What follows the lines of windows: the timeline, as a list and as the files that were asked for."""
    from dual_hpc.inference.timeline import merged
    from dual_hpc.inference.timeline_files import writer_of

    if not kept:
        return {}
    timeline = replace(kept[0].timeline(), source=job.name)
    written = json.loads(writer_of(Path("a.json"))(timeline))
    parts: Sequence[Stretch] = merged([one for one in timeline.stretches if one.label is not None])
    segments = json.loads(writer_of(Path("a.json"))(replace(timeline, stretches=parts)))["timeline"]
    rest = {"seconds": round(timeline.seconds, 3), "timeline": written["timeline"], "segments": segments}
    if options.files:
        rest["files"] = {kind: writer_of(Path(f"a.{kind}"))(timeline).decode() for kind in ("csv", "srt", "vtt")}
    return rest
