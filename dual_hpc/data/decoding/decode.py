"""Members of a sample -> arrays: flac by libsndfile, mp4 by decord, PyAV where decord cannot or fails.

Only the frames of the time grid are decoded to RGB, at the size that training uses: the whole frame is scaled to a
square, which loses nothing at its edges and distorts every clip of a corpus alike.
"""

from __future__ import annotations

import io
from contextlib import suppress
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.decoding.decoder_counts import DECORD, FALLBACK, PYAV
from dual_hpc.data.decoding.grid import audio_samples, frame_times, frames_at
from dual_hpc.data.format.members import AUDIO_RATE
from dual_hpc.errors import UserError


class DecodeError(UserError):
    """A member cannot be decoded; the sample is counted and replaced by a blank one."""


def load_decoders() -> None:
    """Import the decoders: it takes long on a cold parallel file system, and must not count as decoding a sample."""
    with suppress(Exception):  # a missing one is reported by name when it is used
        import soundfile  # noqa: F401

        _decord()


def decode_audio(flac: bytes, max_seconds: float) -> NDArray[np.float32]:
    """The waveform [n], mono 16 kHz, cut at `max_seconds`.

    Raises:
        DecodeError: not readable, empty, not mono 16 kHz, or not finite.
    """
    import soundfile

    try:
        wave, rate = soundfile.read(io.BytesIO(flac), frames=audio_samples(max_seconds), dtype="float32")
    except Exception as error:  # libsndfile's bindings raise several kinds
        raise DecodeError(f"audio: {_line(error)}") from error
    if wave.ndim != 1 or rate != AUDIO_RATE:
        raise DecodeError(f"audio: expected mono {AUDIO_RATE} Hz, found shape {wave.shape} at {rate} Hz")
    if not wave.size or not np.isfinite(wave).all():
        raise DecodeError("audio: empty or not finite")
    return wave


def decode_video(mp4: bytes, duration: float, video_hz: float, max_seconds: float, size: int) -> NDArray[np.uint8]:
    """The frames [F, size, size, 3], RGB, displayed at (k + 0.5) / video_hz.

    Raises:
        DecodeError: neither decoder reads it.
    """
    return decode_pictures(mp4, duration, video_hz, max_seconds, size)[0]


def decode_pictures(
    mp4: bytes, duration: float, video_hz: float, max_seconds: float, size: int
) -> tuple[NDArray[np.uint8], str]:
    """`decode_video`, and which decoder it was (`decoder_counts.py`).

    Raises:
        DecodeError: neither decoder reads it.
    """
    times = frame_times(duration, video_hz, max_seconds)
    decoder = PYAV
    if decord_gives(size):
        try:
            return _by_decord(mp4, times, size), DECORD
        except Exception:  # decord raises its own, untyped errors; PyAV then decides
            decoder = FALLBACK
    try:
        return _by_pyav(mp4, times, size), decoder
    except Exception as error:
        raise DecodeError(f"video: {_line(error)}") from error


def decord_gives(size: int) -> bool:
    """False for the few sides of a square picture that decord 0.6 cannot give, whatever the video: 16, 24, 48, 72 ...

    Its rows are padded to a multiple of 32 pixels of 3 bytes. Where that happens to be a multiple of the side, it takes
    the quotient for the number of colours, and finds that the picture has not the size that it expects.
    """
    padded = 3 * (-(-size // 32) * 32)
    return padded % size != 0 or padded == 3 * size


def decode_text(text: bytes) -> str:
    """The transcript.

    Raises:
        DecodeError: not UTF-8.
    """
    try:
        return text.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise DecodeError(f"text: {_line(error)}") from error


def decode_features(npy: bytes, width: int, dtype: str) -> NDArray[Any]:
    """An array of a feature shard, [T, width].

    Raises:
        DecodeError: not a plain array of that width and type, empty, or not finite.
    """
    array = load_array(npy)
    if array.shape[1] != width or array.dtype.str != dtype:
        raise DecodeError(f"features: expected {dtype} [T, {width}], found {array.dtype.str} {array.shape}")
    if not np.isfinite(array).all():
        raise DecodeError("features: not finite")
    return array


def load_array(npy: bytes) -> NDArray[Any]:
    """An array of a feature shard, [T, D] with T >= 1.

    Raises:
        DecodeError: not a plain array of numbers, or of another shape.
    """
    try:
        array: NDArray[Any] = np.load(io.BytesIO(npy), allow_pickle=False)
    except Exception as error:  # numpy raises many kinds for a false header, MemoryError among them
        raise DecodeError(f"features: {_line(error)}") from error
    if not isinstance(array, np.ndarray):
        raise DecodeError("features: an archive, not an array")
    if array.dtype.kind != "f" or array.ndim != 2 or not len(array):
        raise DecodeError(f"features: expected numbers [T, D], found {array.dtype.str} {array.shape}")
    return array


@lru_cache(maxsize=1)
def _decord() -> Any:
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    return decord


def _by_decord(mp4: bytes, times: NDArray[np.float64], size: int) -> NDArray[np.uint8]:
    decord = _decord()
    reader = decord.VideoReader(io.BytesIO(mp4), ctx=decord.cpu(0), width=size, height=size, num_threads=1)
    if not len(reader):
        raise ValueError("no frames")
    spans = reader.get_frame_timestamp(range(len(reader)))  # [frames, 2]: from, to
    if spans[0, 0] < -1.0:  # what decord reports when B-frames confuse its seeking
        raise ValueError("implausible time stamps")
    frames: NDArray[np.uint8] = reader.get_batch(frames_at(times, spans[:, 0] - spans[0, 0]).tolist()).asnumpy()
    return frames


def _by_pyav(mp4: bytes, times: NDArray[np.float64], size: int) -> NDArray[np.uint8]:
    from fractions import Fraction

    import av

    frames: list[NDArray[np.uint8]] = []
    held: Any = None
    with av.open(io.BytesIO(mp4), "r") as container:
        stream = container.streams.video[0]
        first: Fraction | None = None
        for frame in container.decode(stream):
            stamp = Fraction(frame.pts or 0) * Fraction(frame.time_base or 1)
            first = stamp if first is None else first
            while len(frames) < len(times) and held is not None and float(stamp - first) > times[len(frames)] + 1e-6:
                frames.append(held.reformat(size, size, "rgb24").to_ndarray())
            held = frame
            if len(frames) == len(times):
                break
    if held is None:
        raise ValueError("no frames")
    while len(frames) < len(times):
        frames.append(held.reformat(size, size, "rgb24").to_ndarray())
    return np.stack(frames)


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
