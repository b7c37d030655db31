"""The answers of one long recording, window by window, and its timeline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.decoding.container import UnreadableMedia, probe
from dual_hpc.data.decoding.forward import ForwardReading
from dual_hpc.data.format.members import AUDIO_RATE
from dual_hpc.errors import UserError, one_line
from dual_hpc.inference.requests import Clip
from dual_hpc.inference.speaker_turns import Turn, turns_of
from dual_hpc.inference.timeline import Answered, Timeline, stretches
from dual_hpc.inference.voice_activity import voice_activity
from dual_hpc.inference.windows import Windowing, cut

if TYPE_CHECKING:
    from dual_hpc.inference.predictor import Predictor
    from dual_hpc.inference.preparation import Prepared

BATCH = 8  # windows of one forward pass
_GIVEN_UP = 3  # windows in a row without media: the file ends before its header says
_THUMBNAILS = 96
_PEAK_SECONDS = 0.1  # of the loudness that a picture shows


@dataclass(frozen=True)
class RecordingOptions:
    """How recordings are answered.

    Attributes:
        windowing: how they are cut.
        turns: of the speakers, maybe of several recordings; windows are cut from these, if there are any.
        least_speech: share of a window that must be speech for an answer; None: all windows are answered.
        smooth: seconds over which the timeline is averaged.
    """

    windowing: Windowing
    turns: Sequence[Turn] = ()
    least_speech: float | None = None
    smooth: float = 0.0


class Recording:
    """Iterating `records` gives one answer for each window; `timeline` is what was seen of it until then."""

    def __init__(self, predictor: Predictor, clip: Clip, options: RecordingOptions) -> None:
        """Of a file that can be opened.

        Raises:
            UnreadableMedia: it cannot.
            UserError: the turns are of other recordings.
        """
        self.clip, self.options = clip, options
        self._turns = turns_of(options.turns, clip.path)
        self._predictor, self._activity = predictor, voice_activity()
        self._answered: list[Answered] = []
        self._peaks: dict[int, float] = {}
        self._pictures: list[tuple[float, NDArray[np.uint8]]] = []
        self._spacing = options.windowing.hop
        self._duration = probe(clip.path).duration
        self._forward = ForwardReading()

    def records(self) -> Iterator[dict[str, Any]]:
        """The answers as plain data: `start`, `end` and `speech`; no label where there is too little speech; `error`
        of a window that cannot be read.

        Raises:
            DualError: the first window cannot be read.
        """
        try:
            yield from self._records()
        finally:
            self._forward.close()

    def _records(self) -> Iterator[dict[str, Any]]:
        wanted = cut(self.clip, self._duration, self.options.windowing, self._turns)
        failed, asked = 0, 0
        while failed < _GIVEN_UP and (pieces := list(islice(wanted, BATCH))):
            asked += len(pieces)
            found: list[tuple[Clip, Prepared | str]] = []
            for piece in pieces:
                try:
                    with self._forward:
                        prepared = self._predictor.prepare(piece)
                    found.append((piece, prepared))
                    failed = 0
                    if not self._duration and _is_last(prepared, piece):
                        failed = _GIVEN_UP
                        break
                except UnreadableMedia as error:
                    if not self._answered and not found:
                        raise
                    failed += 1
                    if not self._duration or failed == _GIVEN_UP:
                        failed = _GIVEN_UP
                        break
                    found.append((piece, one_line(error)))
            yield from self._answers(found)
        if self._turns and not asked:
            bounds = f", which is {self._duration:.1f} s long" if self._duration else ""
            raise UserError(f"--turns: none of {len(self._turns)} lies within {self.clip.path}{bounds}")

    def _answers(self, found: Sequence[tuple[Clip, Prepared | str]]) -> Iterator[dict[str, Any]]:
        shares = [None if isinstance(one, str) else self._speech(one) for _, one in found]
        least = self.options.least_speech
        silent = [least is not None and share is not None and share < least for share in shares]
        asked = [
            (piece, one)
            for (piece, one), quiet in zip(found, silent, strict=True)
            if not isinstance(one, str) and not quiet
        ]
        answers = iter(self._predictor.answer([p for p, _ in asked], [one for _, one in asked]) if asked else [])
        for (piece, one), share, quiet in zip(found, shares, silent, strict=True):
            start = round(piece.start or 0.0, 3)
            if isinstance(one, str):
                yield {**piece.extra, "input": str(piece.path), "start": start, "end": piece.end, "error": one}
                continue
            self._look_at(start, one)
            end = round(start + one.sample.duration, 3)
            speech = {} if share is None else {"speech": round(share, 4)}
            speaker = piece.extra.get("speaker")
            if quiet:
                self._answered.append(Answered(start, end, None, speaker))
                record: dict[str, Any] = {"input": str(piece.path), "label": None, "start": start, "end": end, **speech}
            else:
                answer = next(answers)
                self._answered.append(Answered(start, end, tuple(answer.probabilities.values()), speaker))
                record = {**answer.to_json(), **speech}
                if self.clip.text and piece.text is None:
                    record["warnings"] = [*answer.warnings, "the text is of the whole recording: no window is given it"]
            yield {**piece.extra, **record}

    def timeline(self) -> Timeline:
        """What is felt when."""
        labels = self._predictor.labels
        peaks = np.zeros(1 + max(self._peaks, default=-1), np.float32)
        for place, peak in self._peaks.items():
            peaks[place] = peak
        parts = stretches(self._answered, labels, self.options.smooth)
        return Timeline(str(self.clip.path), labels, parts, peaks, _PEAK_SECONDS, self._pictures)

    def _speech(self, prepared: Prepared) -> float | None:
        """None without a sound stream: silence in it would be taken for nobody speaking."""
        wave = prepared.sample.waveform
        return self._activity.share(wave) if wave.size else None

    def _look_at(self, start: float, prepared: Prepared) -> None:
        """Keep what a picture of the recording needs: its loudness, and a few thumbnails."""
        wave, size = prepared.sample.waveform, int(_PEAK_SECONDS * AUDIO_RATE)
        first = round(start / _PEAK_SECONDS)
        for number, part in enumerate(np.abs(wave[: len(wave) // size * size].reshape(-1, size))):
            self._peaks[first + number] = float(part.max())
        frames = prepared.sample.frames
        if frames is None or (self._pictures and start < self._pictures[-1][0] + self._spacing):
            return
        middle = len(frames) // 2
        self._pictures.append((start + prepared.sample.duration / 2, frames[middle].copy()))
        if len(self._pictures) > _THUMBNAILS:
            self._pictures, self._spacing = self._pictures[::2], 2 * self._spacing


def _is_last(prepared: Prepared, piece: Clip) -> bool:
    """True where the sound ends within the window."""
    heard, wanted = prepared.sample.waveform.size / AUDIO_RATE, (piece.end or 0.0) - (piece.start or 0.0)
    return 0 < heard < wanted - _PEAK_SECONDS
