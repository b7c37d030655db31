"""Video with dropped frames: each is replaced by the last one before it that was not dropped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from dual_hpc.evaluation.perturbations.perturbation import Perturbation
from dual_hpc.evaluation.perturbations.rng import rng_for


def drop_frames(batch: Mapping[str, Any], rate: float, seed: int) -> dict[str, Any]:
    """Each frame but the first is dropped with probability `rate`; one dropped at a rate is at every higher one."""
    width = batch["frames"].shape[1]
    shown = np.empty((len(batch["keys"]), width), np.int64)
    for row, key in enumerate(batch["keys"]):
        dropped = rng_for(seed, "lost pictures", key).random(width) < rate
        dropped[0] = False
        shown[row] = np.maximum.accumulate(np.where(dropped, 0, np.arange(width)))
    # What pads the batch stays blank, as the model never sees anything else there.
    padding = np.arange(width) >= batch["frame_lengths"].numpy()[:, None]
    chosen = torch.from_numpy(np.where(padding, np.arange(width), shown))
    return {**batch, "frames": batch["frames"][torch.arange(len(chosen))[:, None], chosen]}


DROPPED_FRAMES = Perturbation(
    "dropped frames",
    "v",
    "% of the frames",
    (25.0, 50.0, 75.0, 90.0),
    apply=lambda batch, level, context: drop_frames(batch, level / 100, context.seed),
)
