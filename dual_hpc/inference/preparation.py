"""A raw clip -> the sample that training would have seen of it: same rate, same grid of pictures, same size.

Packing stores media and training decodes them at the times of `dual_hpc.data.decoding.grid`; here both happen at once,
with the same functions: the grid, the sample and the collation are training's own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from dual_hpc.data.decoding.container import Findings, MediaInfo, UnreadableMedia, probe
from dual_hpc.data.decoding.decoder import Sample
from dual_hpc.data.decoding.grid import audio_samples, frame_times
from dual_hpc.data.decoding.media import iter_frames, read_audio
from dual_hpc.data.format.sample import AUDIO_RATE
from dual_hpc.errors import UserError
from dual_hpc.inference.requests import Clip
from dual_hpc.modality import Modality

_TOLERANCE = 0.5  # seconds by which a header and the audio may differ
_BLIND_STEP = 1 / 25  # seconds a single picture of unknown rate is taken to last


@dataclass(frozen=True)
class Preprocessing:
    """`EmotionConfig.preprocessing` by name and unit."""

    image_size: int
    video_hz: float
    max_seconds: float
    max_tokens: int
    sample_rate: int = AUDIO_RATE

    @classmethod
    def of(cls, preprocessing: Mapping[str, Any]) -> Preprocessing:
        """Those of a saved model; keys of later versions are ignored."""
        return cls(**{one.name: preprocessing[one.name] for one in fields(cls) if one.name in preprocessing})


@dataclass
class Prepared:
    """A sample, which modalities it has and what the user should know about it."""

    sample: Sample
    seconds: float  # of the clip, before cutting
    present: set[Modality] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)


def prepare(clip: Clip, settings: Preprocessing) -> Prepared:
    """Read a clip; a stream that is absent or damaged is left out and named in the warnings.

    Raises:
        UnreadableMedia: no stream of it can be read.
        UserError: its text is not valid Unicode.
    """
    if os.path.exists(clip.path) and not os.path.isfile(clip.path):
        kind = "folder" if os.path.isdir(clip.path) else "pipe or device"
        raise UnreadableMedia(f"{clip.path}: is a {kind}, no media file")
    info = probe(clip.path)
    faults: list[str] = []
    findings = Findings()
    wave, frames = np.zeros(0, np.float32), None
    begin = clip.start or 0.0
    # One second past the limit: enough to tell that the clip is longer.
    last = begin + settings.max_seconds + 1.0 if clip.end is None else min(clip.end, begin + settings.max_seconds + 1.0)
    if info.audio is not None:
        try:
            wave = read_audio(clip.path, begin, last, findings=findings)
        except UnreadableMedia as error:
            faults.append(str(error))
    seconds = _seconds(clip, info, wave)
    if info.video is not None:
        try:
            frames, shown = _pictures(clip, begin, last, seconds, settings, findings)
            seconds = seconds or shown
        except UnreadableMedia as error:
            faults.append(str(error))
    if not wave.size and frames is None:
        raise UnreadableMedia(faults[0] if faults else f"{clip.path}: holds neither audio nor video")
    text = _valid(clip.text or "", clip).strip() or None
    wave, notes = wave[: audio_samples(settings.max_seconds)], describe(findings)
    if clipped := int(np.count_nonzero(np.abs(wave) > 1.0)):
        notes.append(f"{clipped} audio samples are beyond full scale and were clipped, as in packing")
    prepared = Prepared(
        sample=Sample(
            duration=min(seconds, settings.max_seconds),
            waveform=wave.clip(-1.0, 1.0),
            frames=frames,
            text=text,
        ),
        seconds=seconds,
        warnings=[*faults, *notes],
    )
    held = {Modality.AUDIO: bool(wave.size), Modality.VIDEO: frames is not None, Modality.TEXT: text is not None}
    prepared.present = {modality for modality, is_held in held.items() if is_held}
    if seconds > settings.max_seconds:
        prepared.warnings.append(f"only the first {settings.max_seconds:g} of {seconds:.1f} seconds are used")
    return prepared


def _valid(text: str, clip: Clip) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"{clip.path}: its text is not valid Unicode: character {error.start + 1} is half of a surrogate pair"
        ) from error
    return text


def describe(findings: Findings) -> list[str]:
    """What was odd in a clip, a line each."""
    notes = []
    if findings.silence:
        notes.append(f"its audio has gaps of {findings.silence:.2f} s together, which are silent")
    if findings.overlap:
        notes.append(f"its audio time stamps overlap: {findings.overlap:.2f} s were left out")
    if findings.restarts:
        notes.append(f"its time stamps jump back {findings.restarts} times; what follows was joined to the end before")
    if findings.cancelled:
        notes.append("its audio channels are each other's opposite: their mix is almost silent")
    if findings.concealed:
        notes.append(f"{findings.concealed} damaged frames were concealed by the decoder")
    if findings.pictures == 1:
        notes.append("its video is a single picture")
    if findings.resized:
        notes.append(f"{findings.resized} pictures have another size than the first and were scaled")
    return notes


def _seconds(clip: Clip, info: MediaInfo, wave: NDArray[np.float32]) -> float:
    """Length of the clip: that asked for, or the container's; 0 where nothing says."""
    whole = max(info.duration - (clip.start or 0.0), 0.0)
    if clip.end is not None:
        asked = clip.end - (clip.start or 0.0)
        return min(asked, whole) if whole else asked
    heard = wave.size / AUDIO_RATE
    # Headers of files whose clock starts again tell the length of one of their parts.
    return whole if whole and heard < whole + _TOLERANCE else heard


def _pictures(
    clip: Clip, begin: float, last: float, seconds: float, settings: Preprocessing, findings: Findings
) -> tuple[NDArray[np.uint8], float]:
    """Pictures [F, S, S, 3] on show at the grid's times, and how many seconds they cover.

    Without known `seconds` the video's own end decides.
    """
    wanted = frame_times(seconds or settings.max_seconds, settings.video_hz, settings.max_seconds)
    chosen: list[NDArray[np.uint8]] = []
    held: NDArray[np.uint8] | None = None
    previous, step = 0.0, _BLIND_STEP
    for absolute, picture in iter_frames(clip.path, clip.start, last, findings=findings):
        at = absolute - begin
        while len(chosen) < len(wanted) and held is not None and at > wanted[len(chosen)] + 1e-6:
            chosen.append(scale(held, settings.image_size))
        if held is not None and at > previous:
            step = at - previous
        held, previous = picture, max(at, 0.0)
        if len(chosen) == len(wanted):
            break
    assert held is not None, "iter_frames gives a picture or raises"
    shown = previous + step
    count = len(wanted) if seconds else len(frame_times(shown, settings.video_hz, settings.max_seconds))
    while len(chosen) < count:
        chosen.append(scale(held, settings.image_size))
    return np.stack(chosen[:count]), shown


def scale(picture: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """The whole RGB picture [H, W, 3] as a square [size, size, 3].

    As training's decoder does it: from YUV, whose colour is coarser than its brightness, in one step; scaling RGB would
    show the model sharper colours than it learned from.
    """
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
    frame = frame.reformat(format="yuv420p", interpolation=Interpolation.AREA)
    return np.asarray(frame.reformat(size, size, "rgb24").to_ndarray(), dtype=np.uint8)
