"""Constants of a model on its device."""

from __future__ import annotations

from functools import lru_cache

import torch


@lru_cache(maxsize=64)
def constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """The values as a tensor that nobody changes, made once: each one that is made makes the host wait for the device.

    Not a buffer, which would be rounded when an engine casts the model to bf16.
    """
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device)
