"""A face that OpenCV's frontal cascade finds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def drawn_face() -> NDArray[np.uint8]:
    """RGB [240, 240, 3]: light oval, dark eyes with bright whites below dark brows, nose, mouth."""
    face = np.full((240, 240, 3), 90, np.uint8)
    y, x = np.mgrid[:240, :240]

    def oval(cx: float, cy: float, rx: float, ry: float, grey: int) -> None:
        face[((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1] = grey

    oval(120, 120, 62, 82, 205)
    for eye in (95, 145):
        oval(eye, 100, 18, 12, 130)
        oval(eye, 101, 11, 5, 225)
        oval(eye, 101, 5, 5, 25)
        face[80:86, eye - 17 : eye + 17] = 50
    oval(120, 140, 9, 6, 150)
    oval(120, 168, 24, 7, 90)
    return face
