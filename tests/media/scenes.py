"""Drawn clips for the coding of videos, each a function of its seed: what moves, how, how fast, how large, how long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.preparation.crop import stored_size
from dual_hpc.data.preparation.encode import Picture, constant_rate
from shards.options import PackOptions

RATES = (*map(Fraction, (5, 8, 10, 12, 15, 24, 25, 30, 50, 60)), *(Fraction(n * 1000, 1001) for n in (15, 24, 30, 60)))
GRIDS = (5.0, 5.0, 5.0, 5.0, 10.0, 2.0, 1.0, 4.0, 25.0, 0.3)
_SMALLEST, _LARGEST = 33, 161  # pixels

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Scene:
    """Pictures as the packer would give them to the encoder."""

    seed: int
    kind: str
    fps: Fraction
    variable: bool  # the source's time stamps were irregular
    pictures: list[Picture]
    size: tuple[int, int]  # stored, (width, height)
    grid_hz: float

    def __str__(self) -> str:
        height, width = self.pictures[0].shape[:2]
        rate = f"{float(self.fps):.5g} Hz" + (" variable" if self.variable else "")
        length = f"{len(self.pictures)} pictures"
        return f"seed {self.seed}: {self.kind}, {width}x{height}, {length}, {rate}, grid {self.grid_hz:g}"


def scene(seed: int) -> Scene:
    """The clip of a seed."""
    rng = np.random.default_rng([2611, seed])
    kind = list(KINDS)[int(rng.integers(len(KINDS)))]
    fps, grid_hz = RATES[int(rng.integers(len(RATES)))], GRIDS[int(rng.integers(len(GRIDS)))]
    width, height = (int(side) for side in rng.integers(_SMALLEST, _LARGEST, 2))
    seconds = float(rng.choice([0.0, rng.uniform(0.05, 1), rng.uniform(1, 5)], p=[0.06, 0.24, 0.7]))
    stamps, variable = np.arange(max(1, round(seconds * fps))) / float(fps), bool(rng.random() < 0.4)
    if variable:  # kept, dropped and moved pictures, as phones and screen recorders write them
        stamps = stamps[rng.random(len(stamps)) < 0.8] if len(stamps) > 4 else stamps
        stamps = np.sort(stamps + rng.uniform(-0.4, 0.4, len(stamps)) / float(fps))
    drawn = KINDS[kind](rng, stamps, width, height)
    if rng.random() < 0.6:  # the noise of a camera
        drawn = drawn + rng.normal(0, rng.uniform(0.5, 5), drawn.shape).astype(np.float32)
    source = [*drawn.clip(0, 255).astype(np.uint8)]
    options = PackOptions(grid_hz=grid_hz)
    rate = min(fps, Fraction(options.max_fps))
    pictures = list(constant_rate(zip(stamps.tolist(), source, strict=True), float(stamps[0]), rate))
    return Scene(seed, kind, rate, variable, pictures, stored_size(width, height, options.video_size), grid_hz)


def _backdrop(rng: np.random.Generator, width: int, height: int) -> Floats:
    """Smooth colours with some edges, [h, w, 3]."""
    coarse = rng.uniform(20, 235, (int(rng.integers(2, 7)), int(rng.integers(2, 7)), 3)).astype(np.float32)
    rows = np.linspace(0, coarse.shape[0] - 1.001, height)
    columns = np.linspace(0, coarse.shape[1] - 1.001, width)
    top, left = rows.astype(int), columns.astype(int)
    down, across = (rows - top)[:, None, None], (columns - left)[None, :, None]
    upper = coarse[top][:, left] * (1 - across) + coarse[top][:, left + 1] * across
    lower = coarse[top + 1][:, left] * (1 - across) + coarse[top + 1][:, left + 1] * across
    picture = (upper * (1 - down) + lower * down).astype(np.float32)
    picture[height // 3 : height // 2, width // 5 : width // 3] *= 0.6
    return picture


def _still(rng: np.random.Generator, stamps: NDArray[np.float64], width: int, height: int) -> Floats:
    return np.repeat(_backdrop(rng, width, height)[None], len(stamps), axis=0)


def _head(rng: np.random.Generator, stamps: NDArray[np.float64], width: int, height: int) -> Floats:
    """Something round with a mouth that opens and shuts, swaying before a backdrop."""
    shown = _still(rng, stamps, width, height)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    skin, phase = rng.uniform(90, 230, 3).astype(np.float32), rng.uniform(0, 6, 3)
    for picture, t in zip(shown, stamps, strict=True):
        middle = width * (0.5 + 0.06 * np.sin(2.1 * t + phase[0])), height * (0.5 + 0.04 * np.sin(3.3 * t + phase[1]))
        u, v = (x - middle[0]) / (0.3 * width), (y - middle[1]) / (0.4 * height)
        picture[u**2 + v**2 < 1] = skin
        opened = 0.05 + 0.12 * abs(np.sin(9 * t + phase[2]))
        picture[(u / 0.4) ** 2 + ((v - 0.45) / opened) ** 2 < 1] = (60, 15, 20)
        for side in (-0.35, 0.35):
            picture[(u - side) ** 2 + (v + 0.25) ** 2 < 0.012] = (25, 25, 30)
    return shown


def _pan(rng: np.random.Generator, stamps: NDArray[np.float64], width: int, height: int) -> Floats:
    wide = np.concatenate([_backdrop(rng, width, height), _backdrop(rng, width, height)], axis=1)
    speed = rng.uniform(5, 80)
    return np.stack([np.roll(wide, -int(speed * t), axis=1)[:, :width] for t in stamps])


def _texture(rng: np.random.Generator, stamps: NDArray[np.float64], width: int, height: int) -> Floats:
    """Fine detail that moves: the hardest to predict."""
    scene = rng.uniform(0, 255, (height, width, 3)).astype(np.float32)
    speed = rng.uniform(-40, 40, 2)
    return np.stack([np.roll(scene, (int(speed[0] * t), int(speed[1] * t)), axis=(0, 1)) for t in stamps])


def _cuts(rng: np.random.Generator, stamps: NDArray[np.float64], width: int, height: int) -> Floats:
    shown, first = _head(rng, stamps, width, height), 0
    while (first := first + int(rng.integers(3, 25))) < len(stamps):
        shown[first:] = _head(rng, stamps[first:], width, height)
    return shown


def _flashes(rng: np.random.Generator, stamps: NDArray[np.float64], width: int, height: int) -> Floats:
    shown = _head(rng, stamps, width, height)
    shown[rng.random(len(stamps)) < 0.1] += 120
    return shown


def _fade(rng: np.random.Generator, stamps: NDArray[np.float64], width: int, height: int) -> Floats:
    shown = _head(rng, stamps, width, height)
    return shown * np.linspace(0, 1, len(stamps), dtype=np.float32)[:, None, None, None]


def _noise(rng: np.random.Generator, stamps: NDArray[np.float64], width: int, height: int) -> Floats:
    return rng.uniform(0, 255, (min(len(stamps), 20), height, width, 3)).astype(np.float32)[np.arange(len(stamps)) % 20]


KINDS: dict[str, Callable[[np.random.Generator, NDArray[np.float64], int, int], Floats]] = {
    "still": _still,
    "head": _head,
    "pan": _pan,
    "texture": _texture,
    "cuts": _cuts,
    "flashes": _flashes,
    "fade": _fade,
    "noise": _noise,
}
