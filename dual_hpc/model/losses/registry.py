"""The classification losses there are; loading this loads none of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dual_hpc.registry import Registry, modules_in

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class LossSettings:
    """What a loss may use besides logits and targets.

    Attributes:
        class_counts: samples per class in the training split; None: unknown, so no weights and no priors.
        weighted, focal_gamma, label_smoothing: of the configuration's section `model`.
    """

    class_counts: Sequence[int] | None = None
    weighted: bool = False
    focal_gamma: float = 2.0
    label_smoothing: float = 0.0


# Logits f32 [B, C] and class numbers i64 [B] -> the loss of each sample, f32 [B]. No sample may see another.
Loss = Callable[["Tensor", "Tensor", LossSettings], "Tensor"]

_modules = modules_in(Path(__file__).parent, __package__)
LOSSES: Registry[Loss] = Registry(
    "loss", "model.loss", {name: _modules[name] for name in _modules if name not in ("registry", "classification")}
)
