"""Correct first, then timed: errors against fp64, times in rounds that contestants share, memory, GPU kernels."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.kernels.contestants import OURS, Case, Contestant

# Largest relative error (Frobenius norm) of the output and of the input's gradient that may still be called correct.
ALLOWED = {torch.float32: 1e-3, torch.float16: 2e-2, torch.bfloat16: 6e-2}


def gradients(contestant: Contestant) -> tuple[Tensor, Tensor]:
    """The output, and the gradient of the first input under a fixed upstream."""
    forward, leaves = contestant
    out = forward()
    upstream = torch.randn(out.shape, generator=torch.Generator().manual_seed(9)).to(out.device, out.dtype)
    return out.detach(), torch.autograd.grad(out, leaves[0], upstream)[0]


def truth(case: Case) -> tuple[Tensor, Tensor]:
    """The definition in fp64, from the values that the contestants are given in their dtype."""
    low = case.dtype

    class Exact(Case):
        def randn(self, *shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
            values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale
            return values.to(low).to(self.device, torch.float64).requires_grad_()

    exact = Exact(case.op, case.batch, case.steps, case.width, torch.float64, case.device, case.full)
    return gradients(OURS[case.op](exact, "reference"))


def error(got: tuple[Tensor, Tensor], want: tuple[Tensor, Tensor]) -> float:
    """The larger of the two relative errors; infinite for something of another shape."""
    if got[0].shape != want[0].shape:
        return float("inf")
    return max(((g.double() - w).norm() / w.norm()).item() for g, w in zip(got, want, strict=True))


class Clock:
    """Milliseconds between calls: the process's processor time on a CPU, events in the stream on a GPU."""

    def __init__(self, device: str) -> None:
        self.gpu = device == "cuda"
        self.marks: list[Any] = []

    def mark(self) -> None:
        if self.gpu:
            self.marks.append(torch.cuda.Event(enable_timing=True))
            self.marks[-1].record()
        else:
            self.marks.append(time.process_time() * 1e3)

    def spans(self) -> list[float]:
        if self.gpu:
            torch.cuda.synchronize()
        pairs = zip(self.marks[:-1], self.marks[1:], strict=True)
        return [a.elapsed_time(b) if self.gpu else b - a for a, b in pairs]


def once(contestant: Contestant, device: str) -> tuple[float, float]:
    """Milliseconds of a forward that prepares for a backward, and of that backward."""
    forward, leaves = contestant
    clock = Clock(device)
    clock.mark()
    out = forward()
    clock.mark()
    torch.autograd.grad(out, leaves, torch.ones_like(out))
    clock.mark()
    first, second = clock.spans()
    return first, second


def timings(runners: dict[str, Contestant], device: str, seconds: float) -> dict[str, dict[str, list[float]]]:
    """p20, p50, p80 of forward, backward and both; contestants take turns, so that what disturbs one disturbs all.

    In another order every round: who comes after one that leaves the heap and the caches upside down pays for it.
    """
    if not runners:
        return {}
    for contestant in runners.values():
        for _ in range(2):
            once(contestant, device)
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in runners}
    end = time.monotonic() + seconds
    order, shuffle = list(runners), random.Random(0).shuffle
    while time.monotonic() < end or len(next(iter(seen.values()))) < 5:
        shuffle(order)
        for name in order:
            seen[name].append(once(runners[name], device))
    return {
        name: {
            "forward": quantiles([f for f, _ in pairs]),
            "backward": quantiles([b for _, b in pairs]),
            "both": quantiles([f + b for f, b in pairs]),
        }
        for name, pairs in seen.items()
    }


def quantiles(values: list[float]) -> list[float]:
    """p20, p50, p80 to four digits."""
    found = torch.tensor(values, dtype=torch.float64).quantile(torch.tensor([0.2, 0.5, 0.8], dtype=torch.float64))
    return [float(f"{v:.4g}") for v in found.tolist()]


def kept_bytes(contestant: Contestant) -> int:
    """Bytes that a forward keeps for its backward in addition to the inputs."""
    forward, leaves = contestant
    storages: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        out = forward()
    known = {leaf.untyped_storage().data_ptr() for leaf in leaves}
    del out
    return sum(size for pointer, size in storages.items() if pointer not in known)


def peak_bytes(contestant: Contestant) -> int:
    """Most memory in use on the GPU during a forward and a backward, beyond what lay there before."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    once(contestant, "cuda")
    return torch.cuda.max_memory_allocated() - before


def longest_kernels(contestant: Contestant) -> list[str]:
    """Names of the three GPU kernels that take most of the time: which of cuDNN's algorithms ran shows here."""
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        once(contestant, "cuda")
    events = sorted(profile.key_averages(), key=lambda e: e.device_time_total, reverse=True)
    return [f"{e.key[:90]} x{e.count}" for e in events[:3]]


def copy_gbps() -> float:
    """GB/s of a plain copy of 256 MB on this GPU, reads and writes counted."""
    source = torch.empty(1 << 28, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    spans = []
    for _ in range(20):
        clock = Clock("cuda")
        clock.mark()
        target.copy_(source)
        clock.mark()
        spans += clock.spans()
    return 2 * source.numel() / quantiles(spans)[1] / 1e6


def attempt(what: Callable[[], Any]) -> Any:
    """The result, or a short word on why there is none: a peer that cannot run must not end the benchmark."""
    try:
        return what()
    except Exception as failure:
        return f"{type(failure).__name__}: {str(failure).splitlines()[0][:120] if str(failure) else ''}"
