"""Channels to one: which part each loudspeaker has in the mono waveform.

The rule is that a voice keeps its level wherever the layout puts it: alone in the centre of 5.1, or the same on the
left and the right, it is what it would be in a mono file. So the centre counts fully, a left and a right half each
(stereo is their mean, dual mono is exact), surround, rear and height channels 3 dB less, the low-frequency channel not
at all. Channels that the file does not name (plain PCM of a microphone array) are averaged; of ambisonics the
omnidirectional channel is the mix.

These shares add up to more than one where a layout has a centre or surround, so several channels of the same sound
would be louder than each of them and would clip. `Mixer.gain` brings the stretch back to the level of its loudest
channel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

_MINUS_3_DB = math.sqrt(0.5)
_PAIRS = ("FL", "FR", "FLC", "FRC", "WL", "WR", "DL", "DR", "BIL", "BIR")
_SURROUND_PAIRS = (
    *("SL", "SR", "BL", "BR", "SDL", "SDR", "SSL", "SSR", "TTL", "TTR"),
    *("TFL", "TFR", "TBL", "TBR", "TSL", "TSR", "BFL", "BFR"),
)
_SHARES = {
    "FC": 1.0,
    **dict.fromkeys(_PAIRS, 0.5),
    **dict.fromkeys(("BC", "TC", "TFC", "TBC", "BFC"), _MINUS_3_DB),
    **dict.fromkeys(_SURROUND_PAIRS, 0.5 * _MINUS_3_DB),
    **dict.fromkeys(("LFE", "LFE2"), 0.0),
}
# ffmpeg's sample formats: numpy's type, and an integer's bits of magnitude.
_FORMATS: dict[str, tuple[str, int | None]] = {
    **{"u8": ("u1", 7), "s16": ("i2", 15), "s32": ("i4", 31), "s64": ("i8", 63)},
    **{"flt": ("f4", None), "dbl": ("f8", None)},
}
_CANCELLED = 1e-3  # share of the channels' energy below which their mix has lost them


_BARE = frozenset({"wav", "w64", "flac", "aiff", "au", "caf", "nistsphere"})
_USUAL = ("2.1", "4.0", "5.0", "5.1", "6.1", "7.1")  # layouts of 3 to 8 channels


def channel_names(frame: Any, container: str) -> tuple[str, ...]:
    """ffmpeg's names of a frame's channels, in order; NONE for channels that nothing names.

    Films and broadcasts are made for loudspeakers, also where they do not name the channels: those are then in the
    usual order of their number. So are those of AAC and the like (their decoders give planar floats) in any file. A
    bare file of samples may be a microphone array's.

    Args:
        container: ffmpeg's name of the file's format.
    """
    names = tuple(channel.name for channel in frame.layout.channels)
    for_loudspeakers = frame.format.name == "fltp" or container not in _BARE
    if for_loudspeakers and set(names) == {"NONE"} and 3 <= len(names) <= 8:
        return tuple(channel.name for channel in av.AudioLayout(_USUAL[len(names) - 3]).channels)
    return names


@lru_cache(maxsize=256)
def mono_weights(names: Sequence[str]) -> tuple[float, ...]:
    """Weight of each channel in the mono mix, by ffmpeg's channel names (FL, FR, FC, LFE, ...; a tuple).

    They sum to at least 1. A channel whose name is not known makes the mix a mean of all.
    """
    if names and names[0] == "AMBI0":
        return (1.0, *(0.0 for _ in names[1:]))
    if any(name not in _SHARES for name in names):
        return (1.0 / len(names),) * len(names)
    shares = [_SHARES[name] for name in names]
    total = sum(shares)
    if total == 0.0:  # nothing but low-frequency channels
        return (1.0 / len(names),) * len(names)
    return tuple(share / min(total, 1.0) for share in shares)


def channel_samples(frame: Any) -> NDArray[np.float32]:
    """A decoded frame's samples, whatever their format, as float32 [channels, n], full scale 1; what is no number is 0.

    Read plane by plane: `frame.to_ndarray` of PyAV 18 reads beyond the planes of eight separate channels, and crashes.
    """
    channels, name = len(frame.layout.channels), frame.format.name
    if frame.format.is_planar:
        dtype, bits = _FORMATS[name.removesuffix("p")]
        rows = np.stack([np.frombuffer(frame.planes[row], dtype, frame.samples) for row in range(channels)])
    else:
        dtype, bits = _FORMATS[name]
        rows = np.frombuffer(frame.planes[0], dtype, frame.samples * channels).reshape(-1, channels).T
    if bits is not None:
        middle = 128.0 if dtype == "u1" else 0.0
        return np.ascontiguousarray((rows.astype(np.float64) - middle) / 2.0**bits, dtype=np.float32)
    with np.errstate(over="ignore"):
        rows = rows.astype(np.float32)
    return np.ascontiguousarray(np.nan_to_num(rows, nan=0.0, posinf=0.0, neginf=0.0))


class Mixer:
    """Mixes frames of a stretch, and remembers how loud channels and mix were."""

    def __init__(self) -> None:
        self._loudest = self._mixed = 0.0  # peaks of the channels that take part, and of their mix
        self._channel_energy = self._mixed_energy = 0.0

    def mix(self, channels: NDArray[np.float32], names: tuple[str, ...], counts: bool = True) -> NDArray[np.float32]:
        """Mono [n] of channels [c, n] by `mono_weights`.

        Args:
            counts: the frame belongs to the stretch, so that `gain` depends on it.
        """
        if len(channels) == 1:
            return channels[0]
        weights = np.array(mono_weights(names), np.float32)
        mono: NDArray[np.float32] = weights @ channels
        if counts and mono.size:
            heard = channels[weights > 0]
            self._loudest = max(self._loudest, float(np.abs(heard).max()))
            self._mixed = max(self._mixed, float(np.abs(mono).max()))
            self._channel_energy += float(np.mean(np.square(heard, dtype=np.float64), axis=1).sum()) * mono.size
            self._mixed_energy += float(np.square(mono, dtype=np.float64).sum())
        return mono

    @property
    def gain(self) -> float:
        """What the mix is multiplied by so that it is no louder than the loudest channel, 0..1."""
        return self._loudest / self._mixed if self._mixed > self._loudest else 1.0

    @property
    def cancelled(self) -> bool:
        """True if the channels are each other's opposite, so that mixing them left (almost) nothing."""
        return self._mixed_energy < _CANCELLED * self._channel_energy
