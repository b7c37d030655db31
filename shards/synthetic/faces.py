"""Animated faces: heads with hair, eyes, brows, nose and mouth, drawn with soft edges on a small canvas.

Coordinates are in units of the face's half height, origin at its centre, y downwards. A picture is drawn small and the
encoder's scaler enlarges it: low detail is what makes thousands of frames cheap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shards.synthetic.emotions import LEVELS, Floats, Performance

Pictures = NDArray[np.float32]
Box = tuple[float, float, float, float]  # left, top, right, bottom in face units
STEER = 0.3  # of the face's half height that the shared course moves the head to the side
Shape = Callable[[Floats, Floats], Floats]  # positive inside, at (u, v)


@dataclass(frozen=True)
class Identity:
    """What stays the same about a speaker; colours are RGB 0-255."""

    skin: tuple[float, float, float]
    hair: tuple[float, float, float]
    shirt: tuple[float, float, float]
    wall: tuple[float, float, float]
    width: float  # of the face, 1 is a circle
    eye_gap: float
    fringe: float  # how far down the hair reaches
    long_hair: bool


@dataclass
class Pose:
    """What moves: one value per frame for each part."""

    x: Floats
    y: Floats
    mouth_open: Floats
    mouth_curve: Floats
    mouth_width: Floats
    brow_raise: Floats
    brow_tilt: Floats
    eye_open: Floats

    def cut(self, frames: slice) -> Pose:
        """The pose during some of the frames."""
        return Pose(**{name: values[frames] for name, values in vars(self).items()})

    def put(self, frames: slice, other: Pose) -> None:
        """Take over another pose during some of the frames."""
        for name, values in vars(self).items():
            values[frames] = getattr(other, name)


def draw_identity(rng: np.random.Generator, female: bool) -> Identity:
    """A speaker's looks."""
    tone = rng.uniform(0.0, 1.0)
    skin = np.array([245, 205, 175]) * (1 - tone) + np.array([140, 92, 66]) * tone + rng.uniform(-8, 8, 3)
    hair = np.array([40, 28, 20]) + rng.uniform(0, 1) * np.array([110, 75, 35])
    return Identity(
        skin=_colour(skin),
        hair=_colour(hair),
        shirt=_colour(rng.uniform(20, 230, 3)),
        wall=_colour(rng.uniform(60, 200, 3)),
        width=float(rng.uniform(0.82, 0.98)),
        eye_gap=float(rng.uniform(0.32, 0.4)),
        fringe=float(rng.uniform(-0.72, -0.52)),
        long_hair=female,
    )


def speaking(rng: np.random.Generator, performance: Performance, seconds: Floats) -> Pose:
    """The speaker's face at `seconds` after the start of the utterance."""
    level = performance.video_level
    activation = performance.activation(seconds, performance.video_weak, performance.face)
    flutter = 0.85 + 0.15 * np.sin(2 * np.pi * (level.tempo * seconds + rng.random()))
    x, y = _sway(rng, seconds, 0.05)
    return Pose(
        x=x + STEER * performance.course(seconds),
        y=y - 0.15 * (activation - 0.5),
        mouth_open=0.08 + 0.92 * activation * flutter,
        mouth_curve=np.full_like(seconds, level.mouth_curve),
        mouth_width=np.full_like(seconds, level.mouth_width),
        brow_raise=level.brow_raise + 0.8 * (activation - 0.5),
        brow_tilt=np.full_like(seconds, level.brow_tilt),
        eye_open=(level.eye_open + 0.3 * (activation - 0.5)) * _blinks(rng, seconds),
    )


def listening(rng: np.random.Generator, seconds: Floats) -> Pose:
    """The face of someone who is not speaking: it nods, looks around and shows an expression of its own."""
    names = sorted(LEVELS)
    level = LEVELS[names[int(rng.integers(len(names)))]]
    beat = np.interp(seconds % 1.3, [0, 1.3 * rng.uniform(0.1, 0.9), 1.3], [0, 1, 0])
    x, y = _sway(rng, seconds, 0.05)
    return Pose(
        x=x,
        y=y + 0.03 * np.sin(2 * np.pi * (0.9 * seconds + rng.random())),
        mouth_open=0.05 + 0.15 * beat,
        mouth_curve=np.full_like(seconds, level.mouth_curve),
        mouth_width=np.full_like(seconds, level.mouth_width),
        brow_raise=level.brow_raise + 0.4 * (beat - 0.5),
        brow_tilt=np.full_like(seconds, level.brow_tilt),
        eye_open=level.eye_open * _blinks(rng, seconds),
    )


def backdrop(height: int, width: int, identity: Identity) -> Pictures:
    """The wall behind a speaker, [height, width, 3]: a gradient with a darker panel."""
    light = np.linspace(1.1, 0.8, height)[:, None, None] * np.linspace(0.92, 1.05, width)[None, :, None]
    picture = np.broadcast_to(np.array(identity.wall), (height, width, 3)) * light
    picture[:, : width // 6] *= 0.85
    return picture.astype(np.float32)


def draw_head(canvas: Pictures, identity: Identity, pose: Pose, centre: tuple[float, float], size: float) -> None:
    """Draw a head onto `canvas` [frames, height, width, 3] in place.

    Args:
        centre: of the face at rest, (x, y) in pixels.
        size: half height of the face in pixels.
    """
    pen = _Pen(canvas, pose.x, pose.y, centre, size)
    skin, hair = np.array(identity.skin), np.array(identity.hair)
    wide = identity.width

    def torso(u: Floats, v: Floats) -> Floats:
        return 1 - np.hypot(u / 1.5, (v - 1.9) / 1.05)

    def locks(u: Floats, v: Floats) -> Floats:
        return 1 - np.hypot(u / (wide * 1.16), (v + (-0.12 if identity.long_hair else 0.14)) / 1.14)

    def head(u: Floats, v: Floats) -> Floats:
        return np.minimum(1 - np.hypot(u / wide, v), v - identity.fringe - 0.18 * (u / wide) ** 2)

    pen.paint((-1.6, 0.8, 1.6, 3.0), identity.shirt, torso)
    pen.paint((-1.2, -1.4, 1.2, 1.4), hair, locks)
    pen.paint((-1.05, -1.05, 1.05, 1.05), skin, head)
    pen.paint((-0.14, -0.1, 0.14, 0.3), skin * 0.82, lambda u, v: 1 - np.hypot(u / 0.09, (v - 0.12) / 0.15))

    def column(values: Floats) -> Floats:
        return values[:, None, None].astype(np.float32)

    opened = column(np.clip(pose.eye_open, 0.08, 1.5))
    lift, slant = column(pose.brow_raise), column(pose.brow_tilt)
    for side in (-1.0, 1.0):
        middle = side * identity.eye_gap

        def white(u: Floats, v: Floats, middle: float = middle) -> Floats:
            return 1 - np.hypot((u - middle) / 0.19, (v + 0.2) / (0.12 * opened))

        def iris(u: Floats, v: Floats, middle: float = middle) -> Floats:
            return np.minimum(1 - np.hypot((u - middle) / 0.08, (v + 0.2) / 0.09), white(u, v))

        def brow(u: Floats, v: Floats, middle: float = middle, side: float = side) -> Floats:
            line = -0.44 - 0.1 * lift - 0.28 * slant * side * (u - middle)
            return np.minimum(1 - np.abs(v - line) / 0.055, (0.24 - np.abs(u - middle)) * 8)

        pen.paint((middle - 0.25, -0.45, middle + 0.25, 0.05), (240, 240, 238), white, sharp=0.12)
        pen.paint((middle - 0.15, -0.4, middle + 0.15, 0.0), (35, 25, 20), iris, sharp=0.09)
        pen.paint((middle - 0.32, -0.85, middle + 0.32, -0.2), hair * 0.45, brow, sharp=0.055)

    gape, curve = column(0.03 + 0.22 * np.clip(pose.mouth_open, 0, 1.2)), column(0.13 * pose.mouth_curve)
    half = column(0.3 * pose.mouth_width)

    def mouth(u: Floats, v: Floats, lip: float = 0.0) -> Floats:
        across = u / (half + lip)
        height = np.maximum(1 - across**2, 1e-3) * gape + lip
        return np.minimum(1 - np.abs(v - 0.52 + curve * (2 * across**2 - 1)) / height, (1 - np.abs(across)) * 4)

    box = (-0.55, 0.1, 0.55, 0.95)
    pen.paint(box, skin * np.array([0.85, 0.5, 0.5]), lambda u, v: mouth(u, v, 0.05), sharp=0.2)
    pen.paint(box, (50, 10, 15), mouth, sharp=0.15)


class _Pen:
    """Paints shapes, given as a function that is positive inside, with edges about one pixel soft."""

    def __init__(self, canvas: Pictures, x: Floats, y: Floats, centre: tuple[float, float], size: float) -> None:
        self.canvas, self.size = canvas, size
        self.x = (centre[0] + x * size).astype(np.float32)  # [frames], pixels
        self.y = (centre[1] + y * size).astype(np.float32)

    def paint(self, box: Box, colour: ArrayLike, shape: Shape, sharp: float = 1.0) -> None:
        """Blend `colour` into the canvas inside `box`; `sharp` is the shape's half size."""
        _, height, width, _ = self.canvas.shape
        left = max(0, int(self.x.min() + box[0] * self.size))
        right = min(width, int(self.x.max() + box[2] * self.size) + 2)
        top = max(0, int(self.y.min() + box[1] * self.size))
        bottom = min(height, int(self.y.max() + box[3] * self.size) + 2)
        if left >= right or top >= bottom:
            return
        columns, rows = np.arange(left, right, dtype=np.float32), np.arange(top, bottom, dtype=np.float32)
        u = (columns[None, None, :] - self.x[:, None, None]) / self.size
        v = (rows[None, :, None] - self.y[:, None, None]) / self.size
        cover = np.clip(shape(u, v) * (self.size * sharp) + 0.5, 0, 1).astype(np.float32)
        part = self.canvas[:, top:bottom, left:right]
        part += cover[..., None] * (np.asarray(colour, dtype=np.float32) - part)


def _sway(rng: np.random.Generator, seconds: Floats, size: float) -> tuple[Floats, Floats]:
    """Slow random movement of the head, (x, y)."""
    rates, phases = rng.uniform(0.2, 0.8, (2, 3, 1)), rng.random((2, 3, 1))
    x, y = np.sin(2 * np.pi * (rates * seconds + phases)).mean(axis=1) * size
    return x, y


def _blinks(rng: np.random.Generator, seconds: Floats) -> Floats:
    """1 where the eyes are open, near 0 during blinks of 0.13 s."""
    opened = np.ones_like(seconds)
    moment = float(seconds[0]) + rng.exponential(2.5)
    while moment < seconds[-1]:
        opened[np.abs(seconds - moment) < 0.065] = 0.1
        moment += 0.3 + rng.exponential(2.5)
    return opened


def _colour(values: Floats) -> tuple[float, float, float]:
    red, green, blue = np.clip(values, 0, 255)
    return float(red), float(green), float(blue)
