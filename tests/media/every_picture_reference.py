"""The coding that shards had until the pictures of a grid became references: what the new one is compared with."""

from __future__ import annotations

import io
from collections.abc import Iterable
from fractions import Fraction

import av
from av.video.reformatter import Interpolation, VideoReformatter

from dual_hpc.data.preparation.encode import Picture


def encode_references(pictures: Iterable[Picture], fps: Fraction, size: tuple[int, int], crf: int) -> bytes:
    """H.264 in mp4 of RGB pictures, scaled to `size` (width, height): no B-frames, key frames twice a second."""
    buffer, scale = io.BytesIO(), VideoReformatter()
    with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        options = {"preset": "veryfast", "crf": str(crf), "bf": "0", "g": str(max(1, round(fps / 2))), "threads": "1"}
        stream = container.add_stream("libx264", rate=fps, options=options | {"x264-params": "mbtree=0"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = scale.reformat(frame, *size, format="yuv420p", interpolation=Interpolation.AREA, threads=1)
            frame.pts, frame.time_base = number, 1 / fps
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()
