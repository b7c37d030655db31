"""What changes: SDM for audio, VDM for video, each with the normalised pair [F; Δ] that the residual encoders read.

Switched off, Δ is zero and every shape stays.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from dual_hpc.kernels.sdm.operation import sdm
from dual_hpc.kernels.vdm.operation import vdm, vdm_concat_norm
from dual_hpc.model.masking import blank, prefix_mask

HALF_OPEN = 0.5  # sigmoid(0), which the input and the output gate start near


class AudioDifferential(nn.Module):
    """SDM, the Sentiment Differential Module: an LSTM-like cell whose gates see both neighbouring frames.

    It starts as what it is named for: the candidate sees f_t - f_{t-1} alone, four times as large as what a gate of an
    LSTM sees at first, since its input and output gates start half open. Started as any LSTM, with a map of its own for
    each of the two frames, Δ is mostly level, and training does not find which way a voice moves. The remember gate
    starts open (bias 1), as is usual for an LSTM.
    """

    def __init__(self, hidden_size: int, enabled: bool, implementation: str) -> None:
        super().__init__()
        self.enabled = enabled
        self.implementation = implementation
        self.norm = nn.LayerNorm(2 * hidden_size)
        if enabled:
            bound = hidden_size**-0.5
            before, now, state = (torch.empty(4 * hidden_size, hidden_size).uniform_(-bound, bound) for _ in range(3))
            candidate = slice(2 * hidden_size, 3 * hidden_size)  # the gates are i, r, g, o
            now[candidate] *= 1 / HALF_OPEN**2
            before[candidate] = -now[candidate]
            self.weight_prev, self.weight_cur, self.weight_rec = map(nn.Parameter, (before, now, state))
            self.bias = nn.Parameter(torch.tensor([0.0, 1.0, 0.0, 0.0]).repeat_interleave(hidden_size))

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """F^a [B, T, d], lengths [B] -> Δ^a [B, T, d] and LayerNorm([F^a; Δ^a]) [B, T, 2d], zero beyond lengths."""
        if self.enabled:
            delta, _ = sdm(
                x,
                self.weight_prev,
                self.weight_cur,
                self.weight_rec,
                self.bias,
                lengths=lengths,
                with_state=False,
                implementation=self.implementation,
            )
        else:
            delta = torch.zeros_like(x)
        both = self.norm(torch.cat([x, delta.to(x.dtype)], dim=-1))
        return delta, blank(both, prefix_mask(lengths, x.shape[1]))


class VideoDifferential(nn.Module):
    """VDM, the Visual Differential Module: the difference to the next step; the last valid step passes through."""

    def __init__(self, hidden_size: int, enabled: bool, implementation: str) -> None:
        super().__init__()
        self.enabled = enabled
        self.implementation = implementation
        self.weight = nn.Parameter(torch.ones(2 * hidden_size))
        self.bias = nn.Parameter(torch.zeros(2 * hidden_size))

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """F^v [B, T, d], lengths [B] -> Δ^v [B, T, d] and LayerNorm([F^v; Δ^v]) [B, T, 2d], zero beyond lengths."""
        if self.enabled:
            both = vdm_concat_norm(x, lengths, self.weight, self.bias, implementation=self.implementation)
            return vdm(x, lengths), both
        delta = torch.zeros_like(x)
        both = functional.layer_norm(torch.cat([x, delta], dim=-1), self.weight.shape, self.weight, self.bias)
        return delta, blank(both, prefix_mask(lengths, x.shape[1]))
