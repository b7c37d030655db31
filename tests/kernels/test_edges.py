"""What callers give at the edges: lengths out of range, one step, one sequence, views, gradients of a part."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from dual_hpc.errors import UserError
from dual_hpc.kernels.alignment_loss.operation import alignment_loss
from dual_hpc.kernels.sdm.operation import sdm
from dual_hpc.kernels.vdm.operation import vdm, vdm_concat_norm

pytest.importorskip("triton")


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


class Op:
    """One operation as a function of (x, lengths, implementation), and the other tensors that it takes."""

    def __init__(self, name: str, width: int = 3, hidden: int = 4) -> None:
        self.name = name
        shapes = {
            "sdm": [(4 * hidden, width), (4 * hidden, width), (4 * hidden, hidden), (4 * hidden,)],
            "vdm": [(2 * width,), (2 * width,)],
            "alignment": [(4, 5, width)],
        }
        self.parameters = [randn(*shape, seed=n) for n, shape in enumerate(shapes[name])]

    def __call__(self, x: Tensor, lengths: Tensor | None, implementation: str) -> Tensor:
        if self.name == "sdm":
            return sdm(x, *self.parameters, lengths=lengths, implementation=implementation)[0]
        if self.name == "vdm":
            return vdm_concat_norm(x, lengths, *self.parameters, implementation=implementation)
        other = self.parameters[0][: x.shape[0], : x.shape[1]]
        return alignment_loss(x, other, lengths, 0.1, implementation=implementation)


IMPLEMENTATIONS = {
    "sdm": ["reference", "torch", "triton", "parallel"],
    "vdm": ["reference", "torch", "triton"],
    "alignment": ["reference", "torch", "triton"],
}
ALL = pytest.mark.parametrize(
    ("op", "implementation"), [(op, name) for op, names in IMPLEMENTATIONS.items() for name in names]
)
OPS = pytest.mark.parametrize("op", list(IMPLEMENTATIONS))


@ALL
def test_lengths_out_of_range_count_as_the_nearest_in_it(op: str, implementation: str) -> None:
    x, run = randn(4, 5, 3), Op(op)
    got = run(x, torch.tensor([99, -7, 5, 2]), implementation)
    torch.testing.assert_close(got, run(x, torch.tensor([5, 0, 5, 2]), implementation), atol=0, rtol=0)


@ALL
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int32])
def test_lengths_of_few_bits_may_belong_to_more_steps_than_they_can_say(
    op: str, implementation: str, dtype: Any
) -> None:
    x, run = randn(1, 300, 3), Op(op)
    run.parameters[0] = randn(4, 300, 3) if op == "alignment" else run.parameters[0]
    got = run(x[:, :300], torch.tensor([3], dtype=dtype), implementation)
    torch.testing.assert_close(got, run(x, torch.tensor([3]), implementation), atol=0, rtol=0)


def test_a_difference_does_not_look_past_the_batch() -> None:
    x = randn(2, 5, 3)
    torch.testing.assert_close(vdm(x, torch.tensor([99, -1])), vdm(x, torch.tensor([5, 0])), atol=0, rtol=0)


@OPS
@pytest.mark.parametrize(
    "lengths",
    [torch.tensor([1.0, 2.0]), torch.tensor([True, False]), torch.tensor([1, 2, 3]), torch.tensor([[1], [2]])],
    ids=["float", "bool", "too many", "column"],
)
def test_lengths_of_another_kind_are_an_error_in_one_line(op: str, lengths: Any) -> None:
    with pytest.raises(UserError, match="one integer per sequence") as error:
        Op(op)(randn(2, 5, 3), lengths, "auto")
    assert "\n" not in str(error.value)


@OPS
def test_lengths_elsewhere_are_an_error_in_one_line(op: str) -> None:
    with pytest.raises(UserError, match="on meta, the sequences are on cpu"):
        Op(op)(randn(2, 5, 3), torch.tensor([1, 2], device="meta"), "auto")


@ALL
@pytest.mark.parametrize(("batch", "steps"), [(1, 1), (1, 5), (4, 1)])
def test_one_step_and_one_sequence_are_nothing_special(op: str, implementation: str, batch: int, steps: int) -> None:
    x, run = randn(batch, steps, 3).requires_grad_(), Op(op)
    lengths = torch.full((batch,), steps)
    got, want = (run(x, lengths, name) for name in (implementation, "reference"))
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)
    mine, its = (torch.autograd.grad(out.square().sum(), x)[0] for out in (got, want))
    torch.testing.assert_close(mine, its, atol=1e-4, rtol=1e-4)


@ALL
def test_an_empty_batch_comes_back_empty_and_so_does_its_gradient(op: str, implementation: str) -> None:
    run = Op(op)
    leaves = [torch.zeros(0, 5, 3).requires_grad_(), *(p.requires_grad_() for p in run.parameters)]
    out = run(leaves[0], torch.zeros(0, dtype=torch.int64), implementation)
    gradients = torch.autograd.grad(out.sum(), leaves, materialize_grads=True)
    assert (len(out), out.numel()) == (0, 0)
    assert [g.shape for g in gradients] == [leaf.shape for leaf in leaves]
    assert not any(g.any() for g in gradients)


@ALL
def test_no_steps_are_an_error_for_sdm_and_nothing_for_the_others(op: str, implementation: str) -> None:
    run, lengths = Op(op), torch.tensor([0, 0])
    if op == "sdm":
        with pytest.raises(UserError, match="at least one step"):
            run(torch.zeros(2, 0, 3), lengths, implementation)
    else:
        assert not run(torch.zeros(2, 0, 3), lengths, implementation).any()


@ALL
@pytest.mark.parametrize("number", range(4))
def test_shapes_that_a_kernel_would_follow_out_of_its_buffers_are_an_error_in_one_line(
    op: str, implementation: str, number: Any
) -> None:
    run, lengths = Op(op), torch.tensor([5, 1, 3, 4])
    number %= len(run.parameters)
    run.parameters[number] = run.parameters[number][:-1]
    with pytest.raises(UserError, match=r"for an x of \[4, 5, 3\] give") as error:
        run(randn(4, 5, 3), lengths, implementation)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("number", range(3))
def test_a_state_of_another_batch_is_an_error_in_one_line(number: Any) -> None:
    state = [randn(2, 4), randn(2, 4), randn(2, 3)]
    state[number] = state[number][:1]
    with pytest.raises(UserError, match=r"is \[1, \d\] on cpu, for an x of \[2, 5, 3\]"):
        sdm(randn(2, 5, 3), *Op("sdm").parameters, state=tuple(state))


@OPS
@pytest.mark.parametrize("x", [torch.ones(4, 5, 3, dtype=torch.int64), torch.zeros(5, 3)], ids=["integers", "flat"])
def test_what_is_no_batch_of_sequences_of_floats_is_an_error_in_one_line(op: str, x: Any) -> None:
    with pytest.raises(UserError, match="give floats"):
        Op(op)(x, torch.tensor([5, 1, 3, 4]), "auto")


@ALL
def test_transforms_of_torch_func_are_right_or_refused_in_one_line(op: str, implementation: str) -> None:
    x, run, lengths = randn(2, 3, 3), Op(op), torch.tensor([3, 2])
    if op == "alignment":
        run.parameters = [run.parameters[0][:2, :3]]

    def derivative() -> Any:
        return torch.func.jvp(lambda x: run(x, lengths, implementation), (x,), (torch.ones_like(x),))[1]

    if implementation == "reference" or (op, implementation) == ("vdm", "torch"):
        step = 1e-3
        slope = (run(x + step, lengths, implementation) - run(x - step, lengths, implementation)) / (2 * step)
        torch.testing.assert_close(derivative(), slope, atol=1e-2, rtol=1e-2)
    else:
        with pytest.raises(UserError, match=r"set model\.kernels to reference"):
            derivative()


@ALL
def test_autocast_leaves_fp64_alone_and_ends_where_it_is_switched_off_inside(op: str, implementation: str) -> None:
    x, run, lengths = randn(4, 5, 3), Op(op), torch.tensor([5, 1, 3, 4])
    want = run(x, lengths, implementation)
    with torch.autocast("cpu", dtype=torch.float16):
        assert run(x.double(), lengths, implementation).dtype == torch.float64
        with torch.autocast("cpu", enabled=False):
            assert torch.equal(run(x, lengths, implementation), want)


@ALL
def test_where_nothing_is_valid_nothing_comes_out_and_gradients_are_zero(op: str, implementation: str) -> None:
    x, run = torch.full((2, 4, 3), float("nan")).requires_grad_(), Op(op)
    run.parameters = [p.requires_grad_() for p in run.parameters]
    out = run(x, torch.tensor([0, 0]), implementation)
    assert not out.any()
    for gradient in torch.autograd.grad(out.sum(), [x, *run.parameters], materialize_grads=True):
        assert not gradient.any()


@ALL
def test_views_give_what_copies_give(op: str, implementation: str) -> None:
    wide = randn(5, 6, 4)
    view = wide.transpose(0, 1)[:4, :, 1:]  # [4, 5, 3], neither contiguous nor aligned
    run, lengths = Op(op), torch.tensor([5, 1, 3, 4])
    torch.testing.assert_close(
        run(view, lengths, implementation), run(view.contiguous(), lengths, implementation), atol=1e-6, rtol=1e-6
    )


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS["sdm"])
def test_weights_and_states_may_be_views_too(implementation: str) -> None:
    x, lengths, weights = randn(3, 5, 3), torch.tensor([5, 0, 2]), Op("sdm").parameters
    copies = [*weights, *(randn(n, 3, seed=n).T.contiguous() for n in (4, 4, 3))]
    views = [torch.stack([t, t], dim=-1)[..., 0] if t.dim() == 1 else t.T.contiguous().T for t in copies]
    found = []
    for tensors in (copies, views):
        leaves = [t.detach().requires_grad_() for t in (x, *tensors)]
        out, state = sdm(*leaves[:5], lengths, tuple(leaves[5:]), implementation)
        total = out.square().sum() + sum(s.square().sum() for s in state)
        found.append([out, *state, *torch.autograd.grad(total, leaves)])
    torch.testing.assert_close(found[1], found[0], atol=1e-5, rtol=1e-5)


@ALL
@pytest.mark.parametrize(("batch", "steps"), [(1, 5), (4, 1), (4, 5)])
def test_what_the_caller_gave_is_as_it_was(op: str, implementation: str, batch: int, steps: int) -> None:
    given, run = randn(batch, steps, 3), Op(op)
    x, lengths = given.clone().requires_grad_(), torch.arange(batch) * steps // 4
    run(x, lengths, implementation).sum().backward()
    assert torch.equal(x, given)
    assert x._version == 0


@ALL
def test_any_part_of_the_inputs_may_require_gradients(op: str, implementation: str) -> None:
    run, lengths = Op(op), torch.tensor([5, 1, 3, 4])
    whole = [randn(4, 5, 3).requires_grad_(), *(p.requires_grad_() for p in run.parameters)]
    wanted = torch.autograd.grad(run(whole[0], lengths, implementation).square().sum(), whole)
    for number in range(len(whole)):
        part = [t.detach().requires_grad_(n == number) for n, t in enumerate(whole)]
        run.parameters = part[1:]
        out = run(part[0], lengths, implementation)
        (got,) = torch.autograd.grad(out.square().sum(), part[number])
        torch.testing.assert_close(got, wanted[number], atol=1e-5, rtol=1e-5)


@ALL
def test_second_derivatives_are_right_or_refused_in_one_line(op: str, implementation: str) -> None:
    x, run = randn(2, 3, 3).double().requires_grad_(), Op(op)
    run.parameters = [p.double() for p in run.parameters]
    lengths = torch.tensor([3, 2])
    refused = implementation in ("triton", "parallel") or (op, implementation) == ("alignment", "torch")
    if refused:
        with pytest.raises(UserError, match=r"set model\.kernels to reference"):
            torch.autograd.grad(run(x, lengths, implementation).sum(), x, create_graph=True)
    else:
        assert torch.autograd.gradgradcheck(lambda x: run(x, lengths, implementation), x)
