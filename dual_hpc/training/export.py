"""A trained model as an ordinary one: float32, on the host, without DeepSpeed's traces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from dual_hpc.model import DualConfig, DualForEmotionClassification, save_model


def write_model(folder: Path, config: DualConfig, weights: dict[str, torch.Tensor], tokenizer: Any) -> None:
    """Save gathered weights so that `load_model` reads them.

    A fresh model is made for it: the trained one is partitioned (ZeRO-3) or in half precision, and would write that
    into its configuration.
    """
    with torch.random.fork_rng(devices=[]):  # initialising it must not shift the training's random state
        ordinary = DualForEmotionClassification(config).float()
    ordinary.load_state_dict(weights)
    save_model(ordinary, tokenizer, folder)
