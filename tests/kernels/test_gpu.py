"""On a CUDA device: the compiled kernels against fp64, in the precision that training uses, and suspected of races.

Nothing here has run yet where no GPU was at hand; the interpreter covers the arithmetic, not the exchange between
programs that run at once.
"""

import importlib.util
from pathlib import Path

import pytest
import torch

from dual_hpc.kernels.alignment import alignment_loss
from dual_hpc.kernels.sdm import sdm
from dual_hpc.kernels.vdm import vdm_concat_norm

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.timeout(60),  # a program that waits for one which never runs would wait for ever
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

spec = importlib.util.spec_from_file_location("sdm_cases", Path(__file__).with_name("sdm_cases.py"))
cases = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cases)


def on_gpu(x, weights, dtype):
    return x.detach().to("cuda", dtype).requires_grad_(), tuple(
        w.detach().to("cuda", dtype).requires_grad_() for w in weights
    )


def run(x, weights, lengths, implementation):
    out, (h, c, _) = sdm(x, *weights, lengths=lengths, implementation=implementation)
    total = out.float().square().sum() + h.float().sum() + c.float().sum()
    return [out, h, c, *torch.autograd.grad(total, (x, *weights))]


def errors(got, want):
    return [((g.double() - w).norm() / w.norm().clamp(min=1e-6)).item() for g, w in zip(got, want, strict=True)]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("hidden", [64, 100, 128, 256, 512, 1024])
def test_its_error_is_at_most_half_again_that_of_an_lstm_in_the_same_dtype(dtype, hidden):
    x, weights = cases.make(19, 60, hidden, hidden)
    x, weights = on_gpu(x, weights, dtype)
    lengths = torch.randint(0, 61, (19,), device="cuda")
    exact = [t.detach().double().requires_grad_() for t in (x, *weights)]
    want = run(exact[0], tuple(exact[1:]), lengths, "reference")
    fused, lstm = (errors(run(x, weights, lengths, name), want) for name in ("triton", "torch"))
    for mine, its in zip(fused, lstm, strict=True):
        assert mine <= 1.5 * its + torch.finfo(dtype).eps


@pytest.mark.parametrize("hidden", [128, 256, 512, 1024])
def test_fifty_runs_agree_to_the_bit(hidden):
    x, weights = on_gpu(*cases.make(70, 40, 64, hidden), torch.bfloat16)
    lengths = torch.randint(0, 41, (70,), device="cuda")
    first = run(x, weights, lengths, "triton")
    for _ in range(50):
        for again, once in zip(run(x, weights, lengths, "triton"), first, strict=True):
            assert torch.equal(again, once)


@pytest.mark.parametrize("hidden", [128, 256])
def test_ten_thousand_steps_end_and_stay_finite(hidden):
    x, weights = on_gpu(*cases.make(8, 10_000, 16, hidden), torch.bfloat16)
    for tensor in run(x, weights, torch.full((8,), 10_000, device="cuda"), "triton"):
        assert tensor.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("width", [64, 100, 256, 512])
def test_vdm_and_alignment_are_no_worse_than_torch_in_the_same_dtype(dtype, width):
    lengths = torch.tensor([150, 77, 1, 0, 149], device="cuda")
    a, v = (torch.randn(5, 150, width, device="cuda").to(dtype).requires_grad_() for _ in range(2))
    scale, shift = (torch.randn(2 * width, device="cuda").to(dtype).requires_grad_() for _ in range(2))
    tau = torch.tensor(0.07, device="cuda", requires_grad=True)

    def everything(a, v, scale, shift, tau, implementation):
        both = vdm_concat_norm(v, lengths, scale, shift, implementation=implementation)
        out = [both]
        for across in (False, True):
            out.append(alignment_loss(a, v, lengths, tau, across, implementation))
        total = both.double().square().sum() + sum(o.sum() for o in out[1:])
        return [*out, *torch.autograd.grad(total, (a, v, scale, shift, tau))]

    exact = [t.detach().double().requires_grad_() for t in (a, v, scale, shift, tau)]
    want = everything(*exact, "reference")
    fused = errors(everything(a, v, scale, shift, tau, "triton"), want)
    eager = errors(everything(a, v, scale, shift, tau, "torch"), want)
    for mine, its in zip(fused, eager, strict=True):
        # The torch path multiplies in fp32; in 16 bits the kernel's operands are rounded once.
        assert mine <= 1.5 * its + 4 * torch.finfo(dtype).eps


def test_the_similarity_matrix_is_never_stored():
    a, v = (torch.randn(8, 2048, 128, device="cuda", dtype=torch.bfloat16, requires_grad=True) for _ in range(2))
    lengths = torch.full((8,), 2048, device="cuda")
    matrix = 8 * 2048 * 2048 * 2
    alignment_loss(a, v, lengths, 0.07, implementation="triton").sum().backward()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    alignment_loss(a, v, lengths, 0.07, implementation="triton").sum().backward()
    linear = 16 * a.numel() * 4  # vectors of the inputs' size, in fp32
    assert torch.cuda.max_memory_allocated() - before < linear + 0.02 * matrix
