"""SDM on a CPU: sequences that have ended take no part in later pieces, and nothing but the time shows it."""

from __future__ import annotations

import importlib.util
from itertools import combinations
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from dual_hpc.errors import UserError
from dual_hpc.kernels.sdm import torch_onednn
from dual_hpc.kernels.sdm.operation import sdm
from dual_hpc.kernels.sdm.torch_onednn import CANDIDATES, cut, ends

spec = importlib.util.spec_from_file_location("sdm_cases", Path(__file__).with_name("sdm_cases.py"))
cases = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cases)

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch was built without oneDNN")


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many pieces as there are lengths."""
    monkeypatch.setattr(torch_onednn, "price", lambda hidden: 0)


def cost(stops: Any, lengths: Any, price: Any) -> Any:
    begins = [0, *stops[:-1]]
    return sum(price + sum(n > b for n in lengths) * (e - b) for b, e in zip(begins, stops, strict=True))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=CANDIDATES), st.integers(0, 30))
def test_no_other_cut_is_cheaper(lengths: Any, price: int) -> None:
    found = ends(lengths, price)
    longest = max(lengths)
    if not longest:
        assert found == []
        return
    inner = sorted(set(lengths) - {0, longest})
    every = ([*some, longest] for n in range(len(inner) + 1) for some in combinations(inner, n))
    assert cost(found, lengths, price) == min(cost(stops, lengths, price) for stops in every)


@given(st.lists(st.integers(0, 500), min_size=1, max_size=200), st.integers(0, 500))
def test_pieces_never_cost_more_than_one_and_end_at_the_longest(lengths: Any, price: int) -> None:
    found = ends(lengths, price)
    assert found == sorted(set(found))
    assert len(found) <= CANDIDATES
    if found:
        assert found[-1] == max(lengths)
        assert cost(found, lengths, price) <= cost([max(lengths)], lengths, price)


@given(st.lists(st.integers(0, 12), min_size=1, max_size=6))
def test_every_valid_step_is_computed_once(lengths: Any) -> None:
    seen = torch.zeros(len(lengths), 12, dtype=torch.int64)
    for begin, end, rows, padding in cut(torch.tensor(lengths), 12, 10**6, whole=False):
        rows = torch.arange(len(lengths)) if rows is None else rows
        valid = torch.ones((end - begin) * len(rows), dtype=torch.int64)
        if padding is not None:
            valid[padding] = 0
        seen[rows, begin:end] += valid.view(end - begin, -1).T
    assert torch.equal(seen, (torch.arange(12) < torch.tensor(lengths)[:, None]).long())


def run(x: Any, weights: Any, lengths: Any, state: Any, implementation: str) -> Any:
    """Outputs without a state, and gradients of everything that went in."""
    leaves = [x, *weights, *(state or ())]
    out, _ = sdm(x, *weights, lengths=lengths, state=state, implementation=implementation, with_state=False)
    upstream = torch.randn(out.shape, generator=torch.Generator().manual_seed(3)).to(out.dtype)
    return [out, *torch.autograd.grad(out, leaves, upstream)]


@settings(max_examples=40, deadline=None)
@given(batch=st.integers(1, 5), steps=st.integers(1, 9), width=st.integers(1, 7), carried=st.booleans(), data=st.data())
def test_pieces_are_the_definition(batch: int, steps: int, width: int, carried: bool, data: st.DataObject) -> None:
    lengths = torch.tensor(data.draw(st.lists(st.integers(0, steps), min_size=batch, max_size=batch)))
    x, weights = cases.make(batch, steps, width, 6, seed=steps)
    state = tuple(torch.randn(batch, n).requires_grad_() for n in (6, 6, width)) if carried else None
    exact = state and tuple(s.detach().double().requires_grad_() for s in state)
    padded = torch.arange(steps) >= lengths[:, None]
    poisoned = x.detach().masked_fill(padded[..., None], float("nan")).requires_grad_()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_onednn, "price", lambda hidden: 0)
        got = run(poisoned, weights, lengths, state, "torch")
    want = run(*cases.double(x, weights), lengths, exact, "reference")
    for mine, its in zip(got, want, strict=True):
        assert (mine.double() - its).abs().max() <= 1e-5 * max(1, its.abs().max())
    assert not got[0][padded].any()
    assert not got[1][padded].any()


def test_switched_off_it_is_the_same(pieces: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x, weights = cases.make(4, 7, 3, 5)
    lengths = torch.tensor([7, 2, 0, 4])
    got = run(x, weights, lengths, None, "torch")
    with monkeypatch.context() as patch:
        patch.setattr(torch.backends.mkldnn, "enabled", False)
        torch.testing.assert_close(run(x, weights, lengths, None, "torch"), got, atol=1e-6, rtol=1e-5)


def test_without_gradients_nothing_is_kept(pieces: Any) -> None:
    x, weights = cases.make(4, 7, 3, 5)
    with torch.no_grad():
        out, _ = sdm(x, *weights, lengths=torch.tensor([7, 2, 0, 4]), implementation="torch", with_state=False)
    assert out.grad_fn is None
    torch.testing.assert_close(
        out, sdm(x, *weights, lengths=torch.tensor([7, 2, 0, 4]), implementation="reference")[0].detach(),
        atol=1e-6, rtol=1e-6,
    )  # fmt: skip


def test_bf16_gives_gradients_in_bf16(pieces: Any) -> None:
    x, weights = cases.make(3, 7, 4, 8, torch.bfloat16)
    lengths = torch.tensor([7, 3, 1])
    got = run(x, weights, lengths, None, "torch")
    want = run(*cases.double(x, weights), lengths, None, "reference")
    for mine, its in zip(got, want, strict=True):
        assert mine.dtype == torch.bfloat16
        assert (mine.double() - its).norm() <= 3e-2 * its.norm()


def test_second_derivatives_are_refused_in_one_line() -> None:
    x, weights = cases.make(2, 3, 2, 4)
    out, _ = sdm(x, *weights, implementation="torch")
    with pytest.raises(UserError, match=r"set model\.kernels to reference"):
        torch.autograd.grad(out.sum(), x, create_graph=True)
