"""What the engines of SDM must do beside being right: K2's exchange, the loop, K4's residual check, the operators."""

from __future__ import annotations

import importlib.util
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dual_hpc.kernels.sdm import recurrence_op, torch_loop, torch_parallel
from dual_hpc.kernels.sdm.operation import sdm

triton = pytest.importorskip("triton")
sdm_triton = pytest.importorskip("dual_hpc.kernels.sdm.triton_engine")

spec = importlib.util.spec_from_file_location("sdm_cases", Path(__file__).with_name("sdm_cases.py"))
cases = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cases)


def relative(got: Any, want: Any) -> Any:
    return [
        ((g.double() - w.double()).abs().max() / w.double().abs().max().clamp(min=1e-3)).item()
        for g, w in zip(got, want, strict=True)
    ]


def only_exchange(monkeypatch: pytest.MonkeyPatch, keep: Any) -> None:
    """K2 for every H, its slice of the weights kept or read again at every step."""
    plan = sdm_triton.plan

    def plan_for(weight: Any, backward: Any) -> Any:
        cut = plan(weight.shape[1], 2, backward, 90)
        inner = (4 if backward else 1) * triton.next_power_of_2(weight.shape[1])
        return replace(cut, keep=keep, block=max(16, inner) if keep else 16)

    monkeypatch.setattr(sdm_triton, "RESIDENT_BYTES", 0)
    monkeypatch.setattr(sdm_triton, "plan_for", plan_for)


@pytest.fixture(params=[True, False], ids=["kept", "streamed"])
def exchange(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Both kinds of K2."""
    only_exchange(monkeypatch, request.param)


SHAPES = [(1, 1, 1, 1), (5, 4, 7, 20), (17, 3, 5, 33), (3, 6, 2, 16)]


@pytest.mark.parametrize("shape", SHAPES)
def test_programs_that_share_a_tile_compute_the_same(exchange: Any, poison: Any, shape: Any) -> None:
    x, weights = cases.make(*shape)
    lengths = torch.randint(0, shape[1] + 1, shape[:1], generator=torch.Generator().manual_seed(3))
    state = tuple(torch.randn(shape[0], n).requires_grad_() for n in (shape[3], shape[3], shape[2]))
    truth = tuple(s.detach().double().requires_grad_() for s in state)
    got = cases.run(x, weights, lengths, state, implementation="triton")
    want = cases.run(*cases.double(x, weights), lengths, truth, implementation="reference")
    assert max(relative(got, want)) < 1e-5


@pytest.mark.parametrize("shape", SHAPES)
def test_resident_weights_compute_the_same_in_poisoned_buffers(poison: Any, shape: Any) -> None:
    x, weights = cases.make(*shape)
    assert sdm_triton.plan(shape[3], 4, False, 90).parts == 1
    lengths = torch.randint(0, shape[1] + 1, shape[:1], generator=torch.Generator().manual_seed(3))
    got = cases.run(x, weights, lengths, implementation="triton")
    want = cases.run(*cases.double(x, weights), lengths, implementation="reference")
    assert max(relative(got, want)) < 1e-5


def test_the_exchange_passes_gradcheck_in_fp64(exchange: Any) -> None:
    x, weights = cases.double(*cases.make(2, 2, 1, 17))
    lengths = torch.tensor([2, 1])
    assert torch.autograd.gradcheck(
        lambda x, *w: sdm(x, *w, lengths=lengths, implementation="triton")[0], (x, *weights), fast_mode=True
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("variant", ["resident", "exchange"])
def test_its_error_is_at_most_half_again_that_of_an_lstm_in_the_same_dtype(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, variant: str
) -> None:
    if variant == "exchange":
        only_exchange(monkeypatch, keep=True)
    x, weights = cases.make(16, 9, 24, 32, dtype)
    lengths = torch.arange(16) % 7 + 3
    want = cases.run(*cases.double(x, weights), lengths, implementation="reference")
    fused = relative(cases.run(x, weights, lengths, implementation="triton"), want)
    # A CPU's own LSTM computes fp16 in fp32: the definition in fp16 stands in for it.
    peer = "torch" if dtype == torch.float32 else "reference"
    lstm = relative(cases.run(x, weights, lengths, implementation=peer), want)
    for mine, its in zip(fused, lstm, strict=True):
        assert mine <= 1.5 * its + 2 * torch.finfo(dtype).eps


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("size", [2, 4])
def test_plans_cover_all_units_and_keep_only_what_fits(backward: bool, size: int) -> None:
    for hidden in (1, 16, 100, 128, 129, 256, 500, 512, 1024):
        cut = sdm_triton.plan(hidden, size, backward, 90)
        assert cut.units * cut.parts >= hidden
        assert cut.units >= 16
        if cut.keep:
            slices = 4 * cut.units * max(16, triton.next_power_of_2(hidden)) * size
            assert slices <= sdm_triton.RESIDENT_BYTES
        if cut.parts > 1:
            assert not sdm_triton.plan(hidden, size, backward, 80).keep


def test_the_plans_of_the_usual_widths() -> None:
    parts = {h: sdm_triton.plan(h, 2, False, 90).parts for h in (64, 128, 129, 256, 512, 1024)}
    assert parts == {64: 1, 128: 1, 129: 3, 256: 4, 512: 16, 1024: 64}
    assert sdm_triton.plan(256, 2, True, 90).keep
    assert not sdm_triton.plan(256, 2, True, 100).keep
    assert not sdm_triton.plan(512, 2, True, 90).keep


def test_the_loop_engine_is_the_definition() -> None:
    assert recurrence_op.engine("loop") is torch_loop
    x, weights = cases.make(4, 6, 3, 5)
    lengths = torch.tensor([6, 3, 1, 0])
    want = cases.run(*cases.double(x, weights), lengths, implementation="reference")
    h0 = torch.zeros(4, 5)
    h, _, h_last, c_last = recurrence_op.sdm_op(x, *weights, lengths, h0, h0, x[:, 0] * (lengths > 0)[:, None], "loop")
    assert max(relative([h.transpose(0, 1), h_last, c_last], want[:3])) < 1e-5


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_parallel_sweeps_settle_far_before_the_sequence_ends(caplog: pytest.LogCaptureFixture, scale: float) -> None:
    x, weights = cases.make(2, 200, 8, 16, scale=scale)
    lengths = torch.tensor([200, 77])
    with caplog.at_level(logging.WARNING):
        got = cases.run(x, weights, lengths, implementation="parallel")
    want = cases.run(*cases.double(x, weights), lengths, implementation="reference")
    assert max(relative(got, want)) < 1e-4
    if scale == 1.0:
        assert not caplog.records


def test_parallel_that_does_not_settle_runs_the_loop_and_says_so(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_parallel, "MAX_SWEEPS", 3)
    x, weights = cases.make(2, 40, 4, 8, scale=6.0)
    lengths = torch.tensor([40, 31])
    with caplog.at_level(logging.WARNING):
        got = cases.run(x, weights, lengths, implementation="parallel")
    want = cases.run(*cases.double(x, weights), lengths, implementation="reference")
    assert max(relative(got, want)) < 1e-4
    assert [r.message.split(" did")[0] for r in caplog.records] == ["sdm: parallel forward", "sdm: parallel backward"]


def test_parallel_passes_a_nan_on_as_the_loop_would() -> None:
    x, weights = cases.make(2, 9, 3, 4)
    broken = x.detach().clone()
    broken[0, 4] = float("nan")
    out, _ = sdm(broken, *weights, implementation="parallel")
    assert out[0, 4:].isnan().all()
    assert not out[0, :4].isnan().any()
    assert not out[1].isnan().any()


def test_a_scan_is_its_recurrence() -> None:
    factor, term, start = torch.rand(13, 3), torch.randn(13, 3), torch.randn(3)
    want, c = [], start
    for a, u in zip(factor, term, strict=True):
        c = a * c + u
        want.append(c)
    torch.testing.assert_close(torch_parallel.scan(factor, term, start), torch.stack(want))


@pytest.mark.parametrize("implementation", ["triton", "parallel"])
def test_forward_keeps_h_and_c_and_nothing_of_the_gates(implementation: str) -> None:
    x, weights = cases.make(4, 16, 8, 16)
    lengths = torch.full((4,), 16)
    mine, theirs = [], []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (mine.append(t), t)[1], lambda t: t):
        h0 = torch.zeros(4, 16)
        recurrence_op.sdm_op(x, *weights, lengths, h0, h0, x[:, 0], implementation)
    known = {t.data_ptr() for t in (x, *weights, h0, lengths)}
    saved = sum(t.numel() for t in mine if t.data_ptr() not in known and t.dim() == 3)
    assert saved == 2 * 4 * 16 * 16
    assert not theirs
