"""A stretch of a recording -> the bytes that shards hold of it. Packing stores them, prediction decodes them at once.

So a raw clip is, to the bit, what training would have seen of it: the crop, the rate, the mix and the loss of coding.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

from dual_hpc.data.decoding.container import Findings, VideoInfo
from dual_hpc.data.decoding.media import iter_frames, read_audio
from dual_hpc.data.format.members import AUDIO_RATE
from dual_hpc.data.preparation.crop import speaker_box, stored_size
from dual_hpc.data.preparation.encode import constant_rate, count_clipped, encode_flac, encode_mp4
from dual_hpc.data.preparation.faces import FaceTracker, haar_detector
from dual_hpc.data.preparation.record import Preparation

_SLOWEST = Fraction(5)  # pictures per second: fewer would move the changes of a slide show or a GIF


@dataclass(frozen=True)
class CodedAudio:
    """FLAC, mono 16 kHz.

    Attributes:
        seconds: of it.
        clipped: samples beyond full scale, whose value is not kept.
    """

    data: bytes
    seconds: float
    clipped: int


@dataclass(frozen=True)
class CodedVideo:
    """H.264 in mp4.

    Attributes:
        seconds, fps: of it.
        face_share: share of the pictures in which a face was known, 0..1; None: none was looked for.
    """

    data: bytes
    seconds: float
    fps: Fraction
    face_share: float | None


def code_audio(path: Path, start: float, end: float | None, how: Preparation, findings: Findings) -> CodedAudio:
    """The sound of the stretch [start, end) seconds.

    Raises:
        UnreadableMedia: as `read_audio`.
    """
    wave = read_audio(path, start, end, how.audio, findings)
    return CodedAudio(encode_flac(wave), wave.size / AUDIO_RATE, count_clipped(wave))


def code_video(
    path: Path, start: float, end: float, info: VideoInfo, duration: float, side: str, how: Preparation, seen: Findings
) -> CodedVideo:
    """The pictures of the stretch [start, end) seconds.

    Args:
        info, duration: of the file's headers; 0 where they do not say how long it is.
        side: "left" or "right" half, or "whole".

    Raises:
        UnreadableMedia: as `iter_frames`.
        UserError: faces are to be found, and OpenCV 4 is not installed.
    """
    fps = min(max(info.fps, _SLOWEST), Fraction(how.max_fps)).limit_denominator(1001)
    frames = iter_frames(path, start, end, _decoded_size(info, side, how), seen)
    first = next(frames)
    height, width = first[1].shape[:2]
    box = speaker_box(width, height, side, how.picture_rows)
    rows, columns = slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)

    def until() -> float:
        return min(seen.shown_until, end, duration or end)

    pictures = (picture[rows, columns] for picture in constant_rate(chain([first], frames), start, fps, until))
    stored, tracker = stored_size(box.width, box.height, how.video_size), None
    if how.faces:
        tracker = face_tracker = FaceTracker(haar_detector())
        pictures = (face_tracker.crop(picture, count / float(fps)) for count, picture in enumerate(pictures))
        stored = stored_size(how.video_size, how.video_size, how.video_size)
    data, count = encode_mp4(pictures, fps, stored, how.crf, how.grid_hz)
    return CodedVideo(data, count / float(fps), fps, None if tracker is None else tracker.coverage)


def _decoded_size(info: VideoInfo, side: str, how: Preparation) -> tuple[int, int] | None:
    """The whole picture's size at which the speaker's part has its stored size; None: as it is.

    Scaling first saves the conversion of large pictures (MELD's) and is wasted on the other half of small ones
    (IEMOCAP's). Faces are looked for, and cut out, at the source's own size.
    """
    if how.faces:
        return None
    width, height = info.width, info.height
    box = speaker_box(width, height, side, how.picture_rows)
    factor = stored_size(box.width, box.height, how.video_size)[1] / box.height
    return None if factor > 0.75 else (max(2, round(width * factor / 2) * 2), max(2, round(height * factor / 2) * 2))
