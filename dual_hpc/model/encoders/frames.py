"""Frames are encoded one by one, and only those that exist."""

from __future__ import annotations

from collections.abc import Callable

import torch

from dual_hpc.host_values import host_values
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
    if torch.compiler.is_exporting():  # a graph for any lengths; what is blanked is encoded in vain
        return blank(encode(frames.flatten(0, 1)).unflatten(0, mask.shape), mask)
    places = _places(lengths, frames.shape[1])
    encoded = encode(frames.flatten(0, 1).index_select(0, places))
    features = encoded.new_zeros(mask.numel(), encoded.shape[-1]).index_copy(0, places, encoded)
    return blank(features.unflatten(0, mask.shape), mask)


def _places(lengths: torch.Tensor, size: int) -> torch.Tensor:
    """Where the first `lengths[b]` of `size` steps of each row lie among all steps, ascending, and the very first.

    How many they are is counted on the host, or `nonzero` of a mask would make it wait for the device.
    """
    counts = [min(max(length, 0), size) for length in host_values(lengths)]
    total = sum(counts) + (counts[0] == 0)
    wanted = lengths.clamp(0, size)
    wanted = torch.cat([wanted[:1].clamp_min(1), wanted[1:]])
    rows = torch.repeat_interleave(torch.arange(len(counts), device=lengths.device), wanted, output_size=total)
    before = wanted.cumsum(0) - wanted
    steps = torch.arange(total, device=lengths.device) - before.index_select(0, rows)
    return rows * size + steps
