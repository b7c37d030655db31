"""What the time of a training is cut into, as the journal names it: `train/PHASE`, shares of a logging interval."""

from __future__ import annotations

REDUCTION = "reduction"  # in the engine's collectives: of gradients, of weights
# In the order of a step. `rank_wait`: in the reduction in which the ranks agree, for the slowest of them.
PHASES = ("data_wait", "forward", "backward", REDUCTION, "rank_wait", "optimizer", "save_stall", "validation")
