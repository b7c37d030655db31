"""A recurrent network over one sequence, and one vector of it."""

from __future__ import annotations

import torch
from torch import nn

from dual_hpc.model.baselines.gru_op import states
from dual_hpc.model.baselines.late_fusion import mean_over_steps


class RecurrentSummary(nn.Module):
    """Two GRUs, one per direction, and the mean of their states over the valid steps; zero of an empty sequence.

    The second reads the valid steps backwards and padding after them, so that neither ever sees padding before a step.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        assert width % 2 == 0
        self.forwards = nn.GRU(width, width // 2, batch_first=True)
        self.backwards = nn.GRU(width, width // 2, batch_first=True)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """x [B, T, W], lengths [B] -> [B, W]."""
        steps = torch.arange(x.shape[1], device=x.device)
        places = (lengths.unsqueeze(1) - 1 - steps).clamp_min(0)
        turned = x.gather(1, places.unsqueeze(-1).expand_as(x))
        return mean_over_steps(torch.cat([states(self.forwards, x), states(self.backwards, turned)], dim=-1), lengths)
