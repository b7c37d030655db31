"""Decoded audio frames placed by their own time stamps, as one waveform at the rate of the shards.

A recording loses packets, pauses or starts late, and its file says so only by time stamps. Frames that follow each
other are resampled as one; where the next comes later than the one before ends there is silence, where it comes earlier
its beginning is cut. Differences below `TOLERANCE` are the rounding of the container's clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.format.members import AUDIO_RATE

TOLERANCE = 0.015  # seconds; containers round to milliseconds, and clocks of recorders jitter by several
# Seconds; later time stamps are not plausible, and silence for them would cost gigabytes where the stretch has no end.
_LONGEST_PAUSE, _LONGEST_SILENCE = 24 * 3600.0, 3600.0


@dataclass
class _Run:
    """Frames without a gap at one rate."""

    rate: int  # Hz
    first: float  # seconds
    resampler: Any
    samples: int = 0  # at `rate`
    pieces: list[NDArray[np.float32]] = field(default_factory=list)  # at AUDIO_RATE

    @property
    def end(self) -> float:
        return self.first + self.samples / self.rate

    def add(self, wave: NDArray[np.float32]) -> None:
        if not wave.size:
            return
        self.samples += wave.size
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave[None]), format="fltp", layout="mono")
        frame.rate = self.rate
        self.pieces += [out.to_ndarray()[0] for out in self.resampler.resample(frame)]

    def close(self) -> NDArray[np.float32]:
        if self.samples:
            self.pieces += [out.to_ndarray()[0] for out in self.resampler.resample(None)]
        return np.concatenate(self.pieces) if self.pieces else np.zeros(0, np.float32)


class SoundTimeline:
    """Collects mono frames of the stretch [begin, end) seconds; `end` None: to the last.

    Attributes:
        silence: seconds put in between frames.
        overlap: seconds cut off because another frame was there.
    """

    def __init__(self, begin: float, end: float | None) -> None:
        self.begin, self.end = begin, end
        self.silence = self.overlap = 0.0
        self._run: _Run | None = None
        self._placed: list[tuple[int, NDArray[np.float32]]] = []  # (first sample of the stretch, samples)
        self._goes_on = False  # after the stretch's end

    @property
    def empty(self) -> bool:
        """True if nothing was added."""
        return self._run is None and not self._goes_on

    def add(self, seconds: float, rate: int, wave: NDArray[np.float32]) -> None:
        """Place mono float32 [n] at `rate` Hz that sounds from `seconds` on.

        Raises:
            ValueError: the time stamp is not plausible.
        """
        run = self._run
        late = seconds - (self.begin if run is None else run.end)
        if late > (_LONGEST_SILENCE if self.end is None else _LONGEST_PAUSE):
            raise ValueError(f"its audio time stamps jump to {seconds:.6g} s")
        if self.end is not None and seconds >= self.end:
            self._goes_on = True
        if run is not None and late < -TOLERANCE:
            cut = min(wave.size, round(-late * rate))
            self.overlap += cut / rate
            wave, late = wave[cut:], 0.0
        if run is None or rate != run.rate or late > TOLERANCE:
            if run is not None:
                self._close(run)
                if late > TOLERANCE:
                    stop = seconds if self.end is None else min(seconds, self.end)
                    self.silence += max(0.0, stop - max(run.end, self.begin))
                else:
                    seconds = run.end
            resampler = av.AudioResampler(format="fltp", layout="mono", rate=AUDIO_RATE)
            run = self._run = _Run(rate, seconds, resampler)
        run.add(wave)

    def waveform(self, gain: float = 1.0) -> NDArray[np.float32]:
        """The stretch, float32 [n] at 16 kHz; shorter than it where no sound comes any more."""
        if self._run is not None:
            self._close(self._run)
            self._run = None
        stop = max((first + piece.size for first, piece in self._placed), default=0)
        if self.end is not None:
            length = max(0, round((self.end - self.begin) * AUDIO_RATE))
            stop = length if self._goes_on else min(stop, length)
        wave = np.zeros(max(0, stop), np.float32)
        for first, piece in self._placed:
            part = piece[max(0, -first) : max(0, stop - first)]
            wave[max(0, first) : max(0, first) + part.size] = part
        return wave if gain == 1.0 else wave * np.float32(gain)

    def _close(self, run: _Run) -> None:
        self._placed.append((round((run.first - self.begin) * AUDIO_RATE), run.close()))
