"""How much of a window is speech: silero-vad where it is installed, else the energy over the quietest that was heard.

Energy tells speech, which has pauses, from silence and from steady noise. It takes music, steps and applause for
speech, which a network that was trained on speech does not: `pip install 'dual-hpc[speech]'` (silero-vad; its package
carries its weights, nothing is downloaded).
"""

from __future__ import annotations

from collections import deque
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.format.members import AUDIO_RATE
from dual_hpc.errors import EnvironmentFault, one_line

FRAME = 0.03  # seconds whose energy is one number
_QUIET = -55.0  # dB of full scale: what is below it is no speech
_ABOVE = 9.0  # dB over the noise
_REMEMBERED = 20_000  # frames, ten minutes, by which the noise is estimated
_NOISE = 10  # percentile of the remembered energies


class VoiceActivity(Protocol):
    """Says which share of a waveform is speech; windows come in the order of the recording."""

    name: str

    def share(self, wave: NDArray[np.float32]) -> float:
        """Mono 16 kHz [n] -> 0..1; 0 of no sound at all."""
        ...


class EnergyActivity:
    """Frames whose energy is well over the noise floor, which is that of the quietest frames so far."""

    name = "energy"

    def __init__(self) -> None:
        self._heard: deque[float] = deque(maxlen=_REMEMBERED)

    def share(self, wave: NDArray[np.float32]) -> float:
        levels = frame_levels(wave)
        if not levels.size:
            return 0.0
        self._heard.extend(levels.tolist())
        floor = float(np.percentile(np.array(self._heard), _NOISE))
        return float(np.mean(levels > max(_QUIET, floor + _ABOVE)))


class SileroActivity:
    """The network of the package silero-vad."""

    name = "silero"

    def __init__(self, package: Any) -> None:
        self._package, self._model = package, package.load_silero_vad()

    def share(self, wave: NDArray[np.float32]) -> float:
        if not wave.size:
            return 0.0
        import torch

        # By itself the package drops what is shorter than a quarter of a second, as all of a short window or turn is.
        spoken = self._package.get_speech_timestamps(
            torch.tensor(np.ascontiguousarray(wave)), self._model, sampling_rate=AUDIO_RATE, min_speech_duration_ms=0
        )
        return float(sum(one["end"] - one["start"] for one in spoken) / wave.size)


def voice_activity() -> VoiceActivity:
    """The best that is installed; one for each recording.

    Raises:
        EnvironmentFault: silero-vad is installed and cannot be used.
    """
    if find_spec("silero_vad") is None:
        return EnergyActivity()
    import torch

    threads = torch.get_num_threads()
    try:
        return SileroActivity(import_module("silero_vad"))
    except Exception as error:  # an old release imports what there is no more, a broken one lacks its weights
        reason = one_line(f"{type(error).__name__}: {error}", 200)
        raise EnvironmentFault(
            f"silero-vad is installed and cannot be used ({reason}); pip install --upgrade silero-vad, or uninstall it"
        ) from error
    finally:
        torch.set_num_threads(threads)  # the package takes all but one away from the whole process


def frame_levels(wave: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mono [n] -> dB of full scale of each whole frame."""
    size = int(FRAME * AUDIO_RATE)
    frames = wave[: len(wave) // size * size].reshape(-1, size).astype(np.float64)
    levels: NDArray[np.float64] = 10 * np.log10(np.mean(np.square(frames), axis=1) + 1e-10)
    return levels
