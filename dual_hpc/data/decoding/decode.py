"""Members of a sample -> arrays: flac by libsndfile, mp4 by PyAV.

Shards may come from anybody, and a video decoder is where a file can do harm: PyAV's wheels carry a current FFmpeg.
Only the frames of the time grid become RGB, at the size that training uses: the whole frame is scaled to a square,
which loses nothing at its edges and distorts every clip of a corpus alike.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.decoding.decoder_counts import PYAV
from dual_hpc.data.decoding.disposable import demuxed_frames, needed_frames
from dual_hpc.data.decoding.grid import STAMP_TOLERANCE, audio_samples, frame_times
from dual_hpc.data.decoding.h264_units import NotPlainError
from dual_hpc.data.format.members import AUDIO_RATE
from dual_hpc.errors import UserError

_OWN = threading.local()


class DecodeError(UserError):
    """A member cannot be decoded; the sample is counted and replaced by a blank one."""


def load_decoders() -> None:
    """Import the decoders: it takes long on a cold parallel file system, and must not count as decoding a sample."""
    with suppress(Exception):  # a missing one is reported by name when it is used
        import av  # noqa: F401
        import soundfile  # noqa: F401


def decode_audio(flac: bytes, max_seconds: float) -> NDArray[np.float32]:
    """The waveform [n], mono 16 kHz, cut at `max_seconds`.

    Raises:
        DecodeError: not readable, empty, not mono 16 kHz, or not finite.
    """
    import soundfile

    try:
        wave, rate = soundfile.read(io.BytesIO(flac), frames=audio_samples(max_seconds), dtype="float32")
    except soundfile.LibsndfileError as error:  # its text names the buffer's address in memory
        raise DecodeError(f"audio: {error.error_string}") from error
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
        DecodeError: not readable, or without frames.
    """
    return decode_pictures(mp4, duration, video_hz, max_seconds, size)[0]


def decode_pictures(
    mp4: bytes, duration: float, video_hz: float, max_seconds: float, size: int
) -> tuple[NDArray[np.uint8], str]:
    """`decode_video`, and which decoder it was (`decoder_counts.py`).

    Raises:
        DecodeError: not readable, or without frames.
    """
    try:
        return _by_pyav(mp4, frame_times(duration, video_hz, max_seconds), size), PYAV
    except Exception as error:  # FFmpeg's errors are of many kinds
        raise DecodeError(f"video: {_line(error)}") from error


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


def _by_pyav(mp4: bytes, times: NDArray[np.float64], size: int) -> NDArray[np.uint8]:
    """The last frame that appeared at each of the times from the first frame on: u8 [len(times), size, size, 3]."""
    try:
        return _on_show(needed_frames(mp4, times), times, size)
    except NotPlainError:
        return _on_show(demuxed_frames(mp4, times), times, size)


def _on_show(frames: Iterable[tuple[float, Any]], times: NDArray[np.float64], size: int) -> NDArray[np.uint8]:
    """Frames come in order, each that is shown is scaled once, all on the calling thread: workers are processes."""
    taken = np.empty((len(times), size, size, 3), np.uint8)
    scaler, shown = _scaler(), 0
    held: Any = None
    for appears, frame in frames:
        until = shown + int(np.searchsorted(times[shown:] + STAMP_TOLERANCE, appears, side="left"))
        if held is not None and until > shown:
            taken[shown:until] = scaler.reformat(held, size, size, "rgb24", threads=1).to_ndarray()
            shown = until
        held = frame
        if shown == len(times):
            return taken
    if held is None:
        raise ValueError("no frames")
    taken[shown:] = scaler.reformat(held, size, size, "rgb24", threads=1).to_ndarray()
    return taken


def _scaler() -> Any:
    """This thread's scaler: to set one up for each clip costs as much as to scale two pictures."""
    if not hasattr(_OWN, "scaler"):
        from av.video.reformatter import VideoReformatter

        _OWN.scaler = VideoReformatter()
    return _OWN.scaler


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
