"""What the coding of videos costs, beside that of earlier shards: the same pictures, coded in turns."""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from benchmarks import record
from benchmarks.loader.corpus import FPS, PICTURES
from dual_hpc.data.preparation.encode import encode_mp4
from tests.media.every_picture_reference import encode_references

_PICTURES = 3 * FPS  # of a clip


def coding_rows(rounds: int, clips: int = 4) -> list[dict[str, Any]]:
    """Processor time and bytes of each kind of pictures; the best of the rounds for each clip and coding."""
    rows = []
    for kind, (draw, size) in PICTURES.items():
        seconds, sizes = np.full((2, clips), np.inf), np.zeros((2, clips))
        for clip in range(clips):
            pictures = list(draw(np.random.default_rng(clip), clip, _PICTURES))
            codings: tuple[Callable[[], bytes], ...] = (
                lambda: encode_mp4(iter(pictures), Fraction(FPS), size, 23)[0],  # noqa: B023 - called in this turn
                lambda: encode_references(pictures, Fraction(FPS), size, 23),  # noqa: B023
            )
            for _ in range(rounds):
                for which, coding in enumerate(codings):
                    began = time.process_time()
                    sizes[which, clip] = len(coding())
                    seconds[which, clip] = min(seconds[which, clip], time.process_time() - began)
        for what, unit, figures in (
            ("CPU", "ms/picture", 1e3 * seconds / _PICTURES),
            ("size", "bytes/picture", sizes / _PICTURES),
        ):
            ratios = (figures[1] / figures[0]).tolist()
            means = figures.mean(axis=1)
            rows.append(record.row(f"coding of {kind}, {what}", *means, "earlier coding", unit, True, ratios))
    return rows
