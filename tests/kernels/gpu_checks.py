"""What is asked of the compiled kernels on a GPU, as functions of the device and the sizes.

`test_gpu.py` asks it of a CUDA device at real sizes, `test_gpu_rehearsal.py` of the interpreter at tiny ones, so that
nothing in here is run for the first time on the day when there is a GPU.

    compute-sanitizer --tool racecheck python tests/kernels/gpu_checks.py cuda      every kernel once, at small sizes
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dual_hpc.kernels.alignment_loss.operation import alignment_loss
from dual_hpc.kernels.sdm.operation import sdm
from dual_hpc.kernels.vdm.operation import vdm_concat_norm

spec = importlib.util.spec_from_file_location("sdm_cases", Path(__file__).with_name("sdm_cases.py"))
assert spec is not None
assert spec.loader is not None
cases = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cases)


def inputs(batch: int, steps: int, width: int, hidden: int, device: str, dtype: torch.dtype) -> Any:
    """x, the four weights, and lengths between 0 and all steps."""
    x, weights = cases.make(batch, steps, width, hidden)
    lengths = torch.randint(0, steps + 1, (batch,), generator=torch.Generator().manual_seed(5)).to(device)
    x, *weights = (t.detach().to(device, dtype).requires_grad_() for t in (x, *weights))
    return x, tuple(weights), lengths


def run_sdm(x: Tensor, weights: tuple[Tensor, ...], lengths: Tensor, implementation: str) -> list[Tensor]:
    """Outputs, last h and c, and gradients of a functional of all three."""
    out, (h, c, _) = sdm(x, *weights, lengths=lengths, implementation=implementation)
    total = out.float().square().sum() + h.float().sum() + c.float().sum()
    return [out, h, c, *torch.autograd.grad(total, (x, *weights))]


def run_others(tensors: list[Tensor], lengths: Tensor, implementation: str) -> list[Tensor]:
    """VDM with its norm, the alignment loss within and across utterances, and gradients of all."""
    a, v, scale, shift, tau = tensors
    both = vdm_concat_norm(v, lengths, scale, shift, implementation=implementation)
    out = [both, *(alignment_loss(a, v, lengths, tau, across, implementation) for across in (False, True))]
    total = both.double().square().sum() + sum(o.sum() for o in out[1:])
    return [*out, *torch.autograd.grad(total, tensors)]


def errors(got: list[Tensor], want: list[Tensor]) -> list[float]:
    """Relative to the fp64 truth, in the Frobenius norm."""
    return [((g.double() - w).norm() / w.norm().clamp(min=1e-6)).item() for g, w in zip(got, want, strict=True)]


def exact(tensors: list[Tensor]) -> list[Tensor]:
    """The same values in fp64."""
    return [t.detach().double().requires_grad_() for t in tensors]


def check_sdm_error(device: str, dtype: torch.dtype, batch: int, steps: int, hidden: int, peer: str = "torch") -> None:
    """At most half again the error of an LSTM in the same dtype."""
    x, weights, lengths = inputs(batch, steps, hidden, hidden, device, dtype)
    truth, *rest = exact([x, *weights])
    want = run_sdm(truth, tuple(rest), lengths, "reference")
    fused, lstm = (errors(run_sdm(x, weights, lengths, name), want) for name in ("triton", peer))
    for mine, its in zip(fused, lstm, strict=True):
        assert mine <= 1.5 * its + torch.finfo(dtype).eps


def check_repeats(device: str, dtype: torch.dtype, batch: int, steps: int, hidden: int, times: int) -> None:
    """The same bits every time: a race would show."""
    x, weights, lengths = inputs(batch, steps, 64, hidden, device, dtype)
    first = run_sdm(x, weights, lengths, "triton")
    for _ in range(times):
        for again, once in zip(run_sdm(x, weights, lengths, "triton"), first, strict=True):
            assert torch.equal(again, once)


def check_long(device: str, dtype: torch.dtype, batch: int, steps: int, hidden: int) -> None:
    """Many steps end, and stay finite."""
    x, weights, _ = inputs(batch, steps, 16, hidden, device, dtype)
    for tensor in run_sdm(x, weights, torch.full((batch,), steps, device=device), "triton"):
        assert tensor.isfinite().all()


def check_others_error(device: str, dtype: torch.dtype, steps: int, width: int) -> None:
    """VDM and alignment: little more than the error of torch in the same dtype."""
    lengths = torch.tensor([steps, steps // 2, 1, 0, steps - 1], device=device)
    generator = torch.Generator().manual_seed(0)

    def randn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device, dtype).requires_grad_()

    a, v, scale, shift = randn(5, steps, width), randn(5, steps, width), randn(2 * width), randn(2 * width)
    tensors = [a, v, scale, shift, torch.tensor(0.07, device=device, requires_grad=True)]
    want = run_others(exact(tensors), lengths, "reference")
    fused, eager = (errors(run_others(tensors, lengths, name), want) for name in ("triton", "torch"))
    for mine, its in zip(fused, eager, strict=True):
        # The torch path multiplies in fp32; in 16 bits the kernel's operands are rounded once.
        assert mine <= 1.5 * its + 4 * torch.finfo(dtype).eps


def run_everything(device: str, dtype: torch.dtype, hiddens: tuple[int, ...], batch: int, width: int) -> None:
    """Every kernel once, forward and backward, for a sanitizer to watch."""
    for hidden in hiddens:
        x, weights, lengths = inputs(batch, 5, 16, hidden, device, dtype)
        run_sdm(x, weights, lengths, "triton")
    check_others_error(device, dtype, steps=5, width=width)


if __name__ == "__main__":
    run_everything(sys.argv[1], torch.float16, (64, 128, 256, 512), batch=19, width=64)
    torch.cuda.synchronize()
