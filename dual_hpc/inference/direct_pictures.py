"""The pictures of a clip straight from its file, scaled once: what models without a record of packing are shown.

A model that has the record (`EmotionConfig.preparation`) sees what packing would have stored, `preparation.py`.
"""

from __future__ import annotations

import av
import numpy as np
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from dual_hpc.data.decoding.container import Findings
from dual_hpc.data.decoding.grid import frame_times
from dual_hpc.data.decoding.media import iter_frames
from dual_hpc.inference.preprocessing import Preprocessing
from dual_hpc.inference.requests import Clip

_BLIND_STEP = 1 / 25  # seconds a single picture of unknown rate is taken to last


def direct_pictures(
    clip: Clip, last: float, seconds: float, settings: Preprocessing, findings: Findings
) -> tuple[NDArray[np.uint8], float]:
    """Pictures [F, S, S, 3] on show at the grid's times, and how many seconds they cover.

    Without known `seconds` the video's own end decides.
    """
    begin = clip.start or 0.0
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
