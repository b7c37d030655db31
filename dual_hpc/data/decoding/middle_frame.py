"""One picture of a packed video, for people to look at."""

from __future__ import annotations

import io

import av
import numpy as np
from numpy.typing import NDArray


def middle_frame(mp4: bytes) -> NDArray[np.uint8]:
    """RGB picture [H, W, 3] in the middle of a packed video.

    Raises:
        ValueError: it has none; av's errors where it is damaged.
    """
    with av.open(io.BytesIO(mp4), "r", format="mp4") as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        assert stream.average_rate and stream.time_base, "packed by us"
        wanted = round(stream.frames // 2 / stream.average_rate / stream.time_base)
        container.seek(wanted, stream=stream)
        for frame in container.decode(stream):
            if frame.pts is not None and frame.pts >= wanted:
                return np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
    raise ValueError("no picture in a packed video")
