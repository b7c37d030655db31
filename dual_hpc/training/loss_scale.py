"""The loss scale of fp16: a factor on the loss, halved when a gradient overflows, doubled after a while without.

An overflow is normal as long as the scale can be halved. At the smallest scale the gradient itself is too large, and
the step is as one whose gradient is not finite in bf16: DeepSpeed ends the process there at ZeRO 1 to 3, and goes on
for ever at ZeRO 0.
"""

from __future__ import annotations

from typing import Any

import torch


class LossScale:
    """That of a DeepSpeed engine, whatever its stage; in bf16 and fp32 always 1."""

    def __init__(self, deepspeed: Any) -> None:
        self._optimizer = deepspeed.optimizer if deepspeed.fp16_enabled() else None

    @property
    def value(self) -> float:
        """The factor."""
        return 1.0 if self._optimizer is None else float(self._optimizer.loss_scale)

    @property
    def is_smallest(self) -> bool:
        """True if it cannot be halved any more."""
        if self._optimizer is None:
            return True
        state = self._unwrapped or self._optimizer.loss_scaler
        return self.value <= getattr(state, "min_loss_scale" if self._unwrapped else "min_scale")

    def scale(self, loss: torch.Tensor) -> torch.Tensor:
        """The loss that DeepSpeed's `backward` takes. At ZeRO 0 it divides gradients by a factor that it has not put
        on the loss.
        """
        return loss * self.value if self._unwrapped else loss

    def unscale(self, norm: float, scale: float) -> float:
        """DeepSpeed's gradient norm of a step that was made at `scale`; at ZeRO 0 it leaves the factor in."""
        return norm / scale if self._unwrapped else norm

    def allow_smallest(self) -> None:
        """Keep DeepSpeed from raising an exception in the next step; a checkpoint brings the scaler with it."""
        if self._optimizer is not None and not self._unwrapped:
            self._optimizer.loss_scaler.raise_error_at_min_scale = False

    @property
    def _unwrapped(self) -> Any:
        """The state of ZeRO 0's optimizer; None where there is another."""
        return getattr(self._optimizer, "loss_scale_config", None)
