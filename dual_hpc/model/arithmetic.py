"""How exactly, and how repeatably, a process computes: torch's own defaults differ between kinds of operation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def arithmetic(tf32: bool = False, deterministic: bool = False) -> Iterator[None]:
    """Compute like this within the block, and as before after it.

    Args:
        tf32: products of fp32 on a GPU may round their factors to 10 bits of mantissa. torch's default is yes for
            convolutions and LSTMs, no for matrices; here both are alike.
        deterministic: only algorithms that give the same bits each time; an operation that has none raises. On a GPU
            CUBLAS_WORKSPACE_CONFIG must have been set before the first product of the process, as ranks do.
    """
    before = {key: getattr(*key) for key in _flags(tf32, deterministic)}
    strict, warning = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    attention = {name: getattr(torch.backends.cuda, f"{name}_enabled")() for name in _ATTENTION}
    try:
        for key, value in _flags(tf32, deterministic).items():
            setattr(*key, value)
        if deterministic:
            torch.use_deterministic_algorithms(True)
            for name in _ATTENTION:
                _enable(name, name == "math_sdp")
        yield
    finally:
        for key, value in before.items():
            setattr(*key, value)
        torch.use_deterministic_algorithms(strict, warn_only=warning)
        for name, value in attention.items():
            _enable(name, value)


# Of these, the backward pass of "math" alone adds in a fixed order.
_ATTENTION = ("flash_sdp", "mem_efficient_sdp", "cudnn_sdp", "math_sdp")


def _enable(attention: str, value: bool) -> None:
    getattr(torch.backends.cuda, f"enable_{attention}")(value)


def _flags(tf32: bool, deterministic: bool) -> dict[tuple[Any, str], bool]:
    """The value of each flag of a module that has to be set."""
    flags: dict[tuple[Any, str], bool] = {
        (torch.backends.cuda.matmul, "allow_tf32"): tf32,
        (torch.backends.cudnn, "allow_tf32"): tf32,
    }
    if deterministic:
        flags |= {(torch.backends.cudnn, "deterministic"): True, (torch.backends.cudnn, "benchmark"): False}
    return flags
