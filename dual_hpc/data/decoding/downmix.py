"""Channels to one: which part each loudspeaker has in the mono waveform.

The rule is that a voice keeps its level wherever the layout puts it: alone in the centre of 5.1, or the same on the left
and the right, it is what it would be in a mono file. So the centre counts fully, a left and a right half each (stereo is
their mean, dual mono is exact), surround, rear and height channels 3 dB less, the low-frequency channel not at all.
Channels that the file does not name (plain PCM of a microphone array) are averaged; of ambisonics the omnidirectional
channel is the mix.

These shares add up to more than one where a layout has a centre or surround, so several channels of the same sound would
be louder than each of them and would clip. `Mixer.gain` brings the stretch back to the level of its loudest channel.
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
_INTEGERS = {"u1": 7, "i2": 15, "i4": 31, "i8": 63}  # bits of magnitude by numpy's type
_CANCELLED = 1e-3  # share of the channels' energy below which their mix has lost them


_USUAL = ("3.0", "4.0", "5.0", "5.1", "6.1", "7.1")  # layouts of 3 to 8 channels


def channel_names(layout: Any, is_planar_float: bool) -> tuple[str, ...]:
    """ffmpeg's names of a frame's channels, in order; NONE for channels that nothing names.

    Decoders of loudspeaker formats (AAC, AC-3, Opus) give planar floats. Where such a file describes its layout in a way
    that ffmpeg has no name for, the channels are in the usual order of their number all the same.
    """
    names = tuple(channel.name for channel in layout.channels)
    if is_planar_float and set(names) == {"NONE"} and 3 <= len(names) <= 8:
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


def planar(samples: NDArray[np.generic], channels: int, is_planar: bool) -> NDArray[np.float32]:
    """A decoder's samples, in any of ffmpeg's formats, as float32 [channels, n], full scale 1; what is no number is 0.

    Args:
        samples: [channels, n] if `is_planar`, else [1, n * channels].
    """
    rows = samples if is_planar else samples.reshape(-1, channels).T
    bits = _INTEGERS.get(rows.dtype.str[1:])
    if bits is None:
        with np.errstate(over="ignore"):
            rows = rows.astype(np.float32)
        if np.isfinite(rows).all():
            return np.ascontiguousarray(rows)
        return np.nan_to_num(rows, nan=0.0, posinf=0.0, neginf=0.0)
    middle = 128.0 if rows.dtype.kind == "u" else 0.0
    return np.ascontiguousarray((rows.astype(np.float64) - middle) / 2.0**bits, dtype=np.float32)


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
