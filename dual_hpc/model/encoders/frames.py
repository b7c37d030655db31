"""Frames are encoded one by one, and only those that exist."""

from __future__ import annotations

from collections.abc import Callable

import torch

from dual_hpc.model.masking import blank, pad_steps, prefix_mask


def encode_valid(
    encode: Callable[[torch.Tensor], torch.Tensor], frames: torch.Tensor, lengths: torch.Tensor
) -> torch.Tensor:
    """Apply `encode` ([N, 3, S, S] -> [N, E]) to the valid frames and put the results back in place.

    The very first frame is always encoded, valid or not, so that a batch without any video runs the same graph; its
    features are blanked like all others beyond lengths.

    Args:
        frames: uint8 [B, F, 3, S, S].
        lengths: i64 [B].

    Returns:
        [B, max(F, 1), E], zero beyond lengths.
    """
    frames = pad_steps(frames, 1)
    mask = prefix_mask(lengths, frames.shape[1])
    wanted = mask.flatten().clone()
    wanted[0] = True
    places = wanted.nonzero().squeeze(1)
    encoded = encode(frames.flatten(0, 1).index_select(0, places))
    features = encoded.new_zeros(len(wanted), encoded.shape[-1]).index_copy(0, places, encoded)
    return blank(features.unflatten(0, mask.shape), mask)
