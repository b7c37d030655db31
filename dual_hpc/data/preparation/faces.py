"""Face crops, optional: the tracked face of each picture, or the whole picture where none is found.

The detector is OpenCV's Haar cascade, whose file ships inside the wheel of OpenCV 4 (OpenCV 5 and mediapipe 1 ship no
detector): `pip install dual-hpc[faces]`; nothing is downloaded at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.preparation.crop import Box
from dual_hpc.errors import UserError

Picture = NDArray[np.uint8]  # RGB [H, W, 3]
Detector = Callable[[Picture], list[Box]]

_DETECT_EVERY = 0.2  # seconds; between two looks the face stays where it was
_HOLD = 1.0  # seconds for which a face that is no longer found is assumed unchanged
_MARGIN = 1.5  # side of the crop over side of the face: hair and chin belong to an expression
_FOLLOW = 0.5  # share of a new position that is taken over, against trembling
_SAME = 0.2  # overlap (intersection over union) above which two boxes are one face
_SHORT_SIDE = 240  # pixels in which faces are looked for


def choose(boxes: Sequence[Box], last: Box | None) -> Box | None:
    """The face to follow: the one that overlaps the last most, else the largest."""
    if not boxes:
        return None
    if last is not None:
        nearest = max(boxes, key=lambda box: overlap(box, last))
        if overlap(nearest, last) > _SAME:
            return nearest
    return max(boxes, key=lambda box: box.width * box.height)


def overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    wide = min(a.left + a.width, b.left + b.width) - max(a.left, b.left)
    high = min(a.top + a.height, b.top + b.height) - max(a.top, b.top)
    if wide <= 0 or high <= 0:
        return 0.0
    return wide * high / (a.width * a.height + b.width * b.height - wide * high)


def square(picture: Picture, box: Box | None) -> Picture:
    """The square around a face, or the whole picture on a black square; the part outside the picture is black."""
    height, width = picture.shape[:2]
    if box is None:
        side, left, top = max(height, width), (width - max(height, width)) // 2, (height - max(height, width)) // 2
    else:
        side = max(2, round(max(box.width, box.height) * _MARGIN))
        left, top = box.left + (box.width - side) // 2, box.top + (box.height - side) // 2
    out = np.zeros((side, side, 3), np.uint8)
    x, y = max(0, left), max(0, top)
    part = picture[y : max(y, top + side), x : max(x, left + side)]
    out[y - top : y - top + part.shape[0], x - left : x - left + part.shape[1]] = part
    return out


@dataclass
class FaceTracker:
    """Crops one clip's pictures in order; `coverage` says in what share of them a face was known."""

    detect: Detector
    last: Box | None = None
    looked: float = -np.inf
    found: float = -np.inf
    pictures: int = 0
    with_face: int = 0

    def crop(self, picture: Picture, seconds: float) -> Picture:
        """The square [S, S, 3] of a picture shown at `seconds`."""
        if seconds - self.looked >= _DETECT_EVERY:
            self.looked = seconds
            box = choose(self.detect(picture), self.last)
            if box is not None:
                self.last, self.found = self._follow(box), seconds
        if seconds - self.found > _HOLD:
            self.last = None
        self.pictures += 1
        self.with_face += self.last is not None
        return square(picture, self.last)

    @property
    def coverage(self) -> float:
        """Share of the pictures that show a face."""
        return self.with_face / max(1, self.pictures)

    def _follow(self, box: Box) -> Box:
        if self.last is None or overlap(box, self.last) <= _SAME:
            return box
        old, new = self.last, box
        mixed = (
            round(a + _FOLLOW * (b - a))
            for a, b in zip(
                (old.left, old.top, old.width, old.height), (new.left, new.top, new.width, new.height), strict=True
            )
        )
        return Box(*mixed)


@cache
def haar_detector() -> Detector:
    """OpenCV's frontal faces, on one thread.

    Raises:
        UserError: OpenCV 4 is not installed.
    """
    try:
        cv2: Any = import_module("cv2")
        cascade = cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_frontalface_alt2.xml")
        if cascade.empty():
            raise AttributeError("no cascade")
    except (ImportError, AttributeError) as error:
        raise UserError("faces: they are found by OpenCV 4 with its cascades; pip install 'dual-hpc[faces]'") from error
    cv2.setNumThreads(1)

    def detect(picture: Picture) -> list[Box]:
        scale = min(1.0, _SHORT_SIDE / min(picture.shape[:2]))
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        if scale < 1.0:
            grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        found = cascade.detectMultiScale(grey, scaleFactor=1.1, minNeighbors=4, minSize=(24, 24))
        return sorted(
            (Box(*(round(float(value) / scale) for value in box)) for box in found), key=lambda b: (b.left, b.top)
        )

    return detect
