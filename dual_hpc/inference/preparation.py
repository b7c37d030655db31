"""A raw clip -> the sample that training would have seen of it.

Packing stores media and training decodes them at the times of `dual_hpc.data.decoding.grid`; here both happen at once,
with the same functions. What packing did is in the model (`dual_hpc/data/preparation/record.py`), so a clip that is
packed, and the same clip raw, are one sample to the bit. Without that record (models of earlier versions) the whole
picture is taken straight from the file (`direct_pictures.py`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.decoding.container import Findings, MediaInfo, UnreadableMedia, probe
from dual_hpc.data.decoding.decode import decode_audio, decode_video
from dual_hpc.data.decoding.decoder import Sample
from dual_hpc.data.decoding.grid import audio_samples
from dual_hpc.data.decoding.media import read_audio
from dual_hpc.data.format.sample import AUDIO_RATE
from dual_hpc.data.preparation.clip import CodedVideo, code_audio, code_video
from dual_hpc.data.preparation.record import Preparation
from dual_hpc.errors import UserError
from dual_hpc.inference.direct_pictures import direct_pictures
from dual_hpc.inference.preprocessing import Preprocessing
from dual_hpc.inference.requests import Clip
from dual_hpc.modality import Modality

_TOLERANCE = 0.5  # seconds by which a header and the audio may differ

# Of its samples; fewer are beyond full scale wherever a loud recording is brought to another rate, and nobody hears it.
_FEW = 1e-3


@dataclass
class Prepared:
    """A sample, which modalities it has and what the user should know about it.

    Attributes:
        seconds: of the clip, before cutting.
        done: what was done to it, by name; empty where the model does not say how its clips were packed.
    """

    sample: Sample
    seconds: float
    present: set[Modality] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)
    done: dict[str, Any] = field(default_factory=dict)


@dataclass
class _Read:
    """What could be read of a clip: arrays as training decodes them, and what is to be said."""

    wave: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    frames: NDArray[np.uint8] | None = None
    seconds: float = 0.0  # of the clip, before cutting
    stored: float = 0.0  # seconds that training would know
    clipped: int = 0
    faults: list[str] = field(default_factory=list)
    done: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def prepare(clip: Clip, settings: Preprocessing, how: Preparation | None = None) -> Prepared:
    """Read a clip; a stream that is absent or damaged is left out and named in the warnings.

    Args:
        how: what packing did to the clips that the model was trained on; None where the model does not say.

    Raises:
        UnreadableMedia: no stream of it can be read.
        UserError: its text is not valid Unicode, or it names a half of the picture and the model saw whole ones.
    """
    if os.path.exists(clip.path) and not os.path.isfile(clip.path):
        kind = "folder" if os.path.isdir(clip.path) else "pipe or device"
        raise UnreadableMedia(f"{clip.path}: is a {kind}, no media file")
    if clip.side not in (None, "whole") and (how is None or not how.halves):
        raise UserError(f"{clip.path}: side: the model was trained on whole pictures, not on halves; leave it out")
    info = probe(clip.path)
    findings = Findings()
    found = _read(clip, info, settings, findings) if how is None else _coded(clip, info, settings, how, findings)
    if not found.wave.size and found.frames is None:
        raise UnreadableMedia(found.faults[0] if found.faults else f"{clip.path}: holds neither audio nor video")
    text = _valid(clip.text or "", clip).strip() or None
    notes = [*found.faults, *describe(findings), *found.notes]
    if found.clipped > _FEW * found.wave.size:
        share = found.clipped / found.wave.size
        notes.append(f"{share:.1%} of the sound is beyond full scale and was clipped, as in packing")
    if found.seconds > settings.max_seconds:
        notes.append(f"only the first {settings.max_seconds:g} of {found.seconds:.1f} seconds are used")
    duration = min(found.stored, settings.max_seconds)
    held = {Modality.AUDIO: bool(found.wave.size), Modality.VIDEO: found.frames is not None, Modality.TEXT: bool(text)}
    return Prepared(
        sample=Sample(duration=duration, waveform=found.wave, frames=found.frames, text=text),
        seconds=found.seconds,
        present={modality for modality, is_held in held.items() if is_held},
        warnings=notes,
        done=found.done,
    )


def _coded(clip: Clip, info: MediaInfo, settings: Preprocessing, how: Preparation, findings: Findings) -> _Read:
    """What shards would hold of the clip, decoded as training decodes it."""
    found, begin = _Read(), clip.start or 0.0
    end = begin + how.max_seconds if clip.end is None else min(clip.end, begin + how.max_seconds)
    lengths: list[float] = []
    side = clip.side or "whole"
    video: CodedVideo | None = None
    if info.audio is not None:
        try:
            audio = code_audio(clip.path, begin, end, how, findings)
            found.wave, found.clipped = decode_audio(audio.data, settings.max_seconds), audio.clipped
            found.done["audio"] = how.audio
            lengths.append(audio.seconds)
        except UnreadableMedia as error:
            found.faults.append(str(error))
    if info.video is not None:
        try:
            video = code_video(clip.path, begin, end, info.video, info.duration, side, how, findings)
            lengths.append(video.seconds)
        except UnreadableMedia as error:
            found.faults.append(str(error))
    found.stored = round(max(lengths, default=0.0), 6)
    if video is not None:
        shape = (settings.video_hz, settings.max_seconds, settings.image_size)
        found.frames = decode_video(video.data, found.stored, *shape)
        found.done["picture"] = "face" if how.faces else side if side == "whole" else f"{side} half"
        found.notes += _picture_notes(clip, how, video)
        if video.face_share is not None:
            found.done["face_share"] = round(video.face_share, 4)
    if how.mixed:
        found.notes.append(f"the model was trained on clips that were packed in several ways ({', '.join(how.mixed)})")
    whole = _seconds(clip, info, found.wave)
    found.seconds = max(whole, found.stored) if info.video is not None or not whole else whole
    return found


def _picture_notes(clip: Clip, how: Preparation, video: CodedVideo) -> list[str]:
    notes = []
    if how.halves and clip.side is None:
        notes.append(
            "the model was trained on halves of the picture, one speaker each: the whole is used; name the speaker's "
            "half (side: left or right) where two are shown side by side"
        )
    if video.face_share is not None and (unseen := round(100 * (1 - video.face_share))):
        notes.append(f"no face was seen in {unseen} % of the pictures: the model got the whole picture there")
    return notes


def _read(clip: Clip, info: MediaInfo, settings: Preprocessing, findings: Findings) -> _Read:
    """The clip straight from its file."""
    found, begin = _Read(), clip.start or 0.0
    # One second past the limit: enough to tell that the clip is longer.
    last = begin + settings.max_seconds + 1.0 if clip.end is None else min(clip.end, begin + settings.max_seconds + 1.0)
    wave = found.wave
    if info.audio is not None:
        try:
            wave = read_audio(clip.path, begin, last, findings=findings)
        except UnreadableMedia as error:
            found.faults.append(str(error))
    found.seconds = _seconds(clip, info, wave)
    if info.video is not None:
        try:
            found.frames, shown = direct_pictures(clip, last, found.seconds, settings, findings)
            found.seconds = found.seconds or shown
        except UnreadableMedia as error:
            found.faults.append(str(error))
    wave = wave[: audio_samples(settings.max_seconds)]
    found.clipped = int(np.count_nonzero(np.abs(wave) > 1.0))
    found.wave, found.stored = wave.clip(-1.0, 1.0), found.seconds
    return found


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
