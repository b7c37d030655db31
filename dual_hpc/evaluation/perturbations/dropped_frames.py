"""Video that stutters: lost pictures are replaced by the last one that arrived."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from dual_hpc.evaluation.perturbations.rng import of_utterance


def with_lost_pictures(batch: Mapping[str, Any], rate: float, seed: int) -> dict[str, Any]:
    """Each picture but the first is lost with probability `rate`; what is lost at one rate is lost at every higher."""
    width = batch["frames"].shape[1]
    shown = np.empty((len(batch["keys"]), width), np.int64)
    for row, key in enumerate(batch["keys"]):
        lost = of_utterance(seed, "lost pictures", key).random(width) < rate
        lost[0] = False
        shown[row] = np.maximum.accumulate(np.where(lost, 0, np.arange(width)))
    # What pads the batch stays blank, as the model never sees anything else there.
    padding = np.arange(width) >= batch["frame_lengths"].numpy()[:, None]
    chosen = torch.from_numpy(np.where(padding, np.arange(width), shown))
    return {**batch, "frames": batch["frames"][torch.arange(len(chosen))[:, None], chosen]}
