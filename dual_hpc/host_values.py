"""Values of a device's small tensors that the host knows anyway: asking the device would make the host wait for it.

Lengths are known where a batch is put together. Whoever copies them to a device leaves them at the copy; whatever is
computed from the copy has to ask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_NAME = "_dual_hpc_host_values"


def known_on_host(tensor: torch.Tensor, values: list[Any]) -> torch.Tensor:
    """The tensor, of which the host knows what `tolist()` would return. Nobody may change it in place any more."""
    setattr(tensor, _NAME, values)
    return tensor


def host_values(tensor: torch.Tensor) -> list[Any]:
    """`tensor.tolist()`, without waiting for its device if the host knows the values."""
    values: list[Any] | None = getattr(tensor, _NAME, None)
    return tensor.tolist() if values is None else values
