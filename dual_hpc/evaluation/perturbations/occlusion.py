"""Video that shows less: a part of every frame covered, or all of it out of focus."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.nn.functional import avg_pool2d

from dual_hpc.evaluation.perturbations.perturbation import Perturbation
from dual_hpc.evaluation.perturbations.rng import rng_for

_GREY = 128


def occlude(batch: Mapping[str, Any], share: float, seed: int) -> dict[str, Any]:
    """A grey rectangle over `share` of the picture's area, in the same place throughout an utterance.

    What is covered at one share is covered at every larger one.
    """

    def covered(pictures: torch.Tensor, key: str) -> torch.Tensor:
        height, width = pictures.shape[-2:]
        down, right = rng_for(seed, "occlusion", key).random(2)
        top, bottom = _span(height, share**0.5, down)
        left, end = _span(width, share**0.5, right)
        pictures = pictures.clone()
        pictures[..., top:bottom, left:end] = _GREY
        return pictures

    return _changed(batch, covered)


def blur(batch: Mapping[str, Any], spread: float) -> dict[str, Any]:
    """Each point becomes the mean of its surroundings, twice (nearly a Gaussian); `spread` of the picture's width."""

    def blurred(pictures: torch.Tensor, key: str) -> torch.Tensor:
        side = 2 * round(spread * pictures.shape[-1] / 2) + 1  # odd, so that nothing moves
        soft = pictures.float()
        for _ in range(2):
            soft = avg_pool2d(soft, side, stride=1, padding=side // 2, count_include_pad=False)
        return soft.round().to(torch.uint8)

    return _changed(batch, blurred)


def _changed(batch: Mapping[str, Any], change: Callable[[torch.Tensor, str], torch.Tensor]) -> dict[str, Any]:
    """The pictures u8 [T,3,H,W] of each utterance changed; what pads the batch stays blank."""
    frames = batch["frames"].clone()
    for row, (key, length) in enumerate(zip(batch["keys"], batch["frame_lengths"].tolist(), strict=True)):
        if length:
            frames[row, :length] = change(frames[row, :length], key)
    return {**batch, "frames": frames}


def _span(size: int, share: float, place: float) -> tuple[int, int]:
    """First and last of `share` of `size` points, growing to both sides of `place` (0..1)."""
    first = place * (1 - share) * size
    return round(first), round(first + share * size)


OCCLUSION = Perturbation(
    "occlusion",
    "v",
    "% of the area",
    (10.0, 25.0, 50.0, 75.0),
    apply=lambda batch, level, context: occlude(batch, level / 100, context.seed),
)
BLUR = Perturbation(
    "blur", "v", "% of the width", (2.0, 5.0, 10.0, 20.0), apply=lambda batch, level, _: blur(batch, level / 100)
)
