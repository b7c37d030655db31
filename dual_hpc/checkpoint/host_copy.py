"""A copy of a training's state in host memory, which the training's next step does not change.

Storages are copied, not tensors: tensors that share memory in the state share it in the copy, so a file written from
the copy is, on a CPU, byte for byte the file that would have been written from the state itself.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn


def host_copy(state: Any) -> Any:
    """A deep copy whose tensors are in host memory, complete when this returns.

    It takes as much host memory as the file of `state` has bytes, until the copy is deleted. From a GPU the storages
    are copied asynchronously into pinned memory, with one synchronisation at the end; torch allocates pinned memory in
    powers of two, up to twice as much, and keeps it for the next save.
    """
    storages: dict[int, torch.UntypedStorage] = {}
    memo: dict[int, Any] = {}  # of `copy.deepcopy`: objects whose id is a key are not copied again
    for tensor in tensors_of(state):
        if id(tensor) not in memo:
            memo[id(tensor)] = _rebuilt(tensor, storages)
    if any(tensor.is_cuda for tensor in tensors_of(state)):
        torch.cuda.synchronize()
    return copy.deepcopy(state, memo)


def tensors_of(value: Any) -> list[torch.Tensor]:
    """Every tensor in nested dictionaries, lists and tuples."""
    if isinstance(value, torch.Tensor):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [tensor for part in parts for tensor in tensors_of(part)]


def _rebuilt(tensor: torch.Tensor, storages: dict[int, torch.UntypedStorage]) -> torch.Tensor:
    source = tensor.untyped_storage()
    if source._cdata not in storages:  # the address of the storage object: empty storages have no address of bytes
        storages[source._cdata] = _on_host(source)
    place = (tensor.storage_offset(), tensor.size(), tensor.stride())
    found = torch.empty(0, dtype=tensor.dtype).set_(storages[source._cdata], *place)
    found = nn.Parameter(found) if isinstance(tensor, nn.Parameter) else found
    found.__dict__.update(vars(tensor))  # attributes that DeepSpeed adds: plain values
    return found.requires_grad_(tensor.requires_grad)


def _on_host(storage: torch.UntypedStorage) -> torch.UntypedStorage:
    if storage.device.type != "cuda":
        return storage.cpu() if storage.device.type != "cpu" else storage.clone()
    on_device = torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)
    try:
        on_host = torch.empty(storage.nbytes(), dtype=torch.uint8, pin_memory=True)
    except RuntimeError:  # the system has no more pinned memory
        return storage.cpu()
    return on_host.copy_(on_device, non_blocking=True).untyped_storage()
