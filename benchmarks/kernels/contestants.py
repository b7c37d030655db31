"""Cases and who competes in them: each contestant is built on the same inputs and returns one output tensor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dual_hpc.kernels.alignment_loss.operation import alignment_loss
from dual_hpc.kernels.sdm.operation import sdm
from dual_hpc.kernels.vdm.operation import vdm_concat_norm

# It compiles itself with nvcc for every batch size and width, a minute or more each: one case, its own regime.
FLASHRNN = (32, 256, torch.bfloat16)
Contestant = tuple[Callable[[], Tensor], list[Tensor]]  # forward, and what it is differentiated by, the input first


@dataclass(frozen=True)
class Case:
    """One op at one size; lengths are spread evenly between a third of the steps and all, or all are `full`."""

    op: str
    batch: int
    steps: int
    width: int
    dtype: torch.dtype
    device: str
    full: bool = False

    def __str__(self) -> str:
        size = f"{self.op} B={self.batch} T={self.steps} D={self.width} {str(self.dtype).removeprefix('torch.')}"
        return size + " no padding" * self.full

    @property
    def lengths(self) -> Tensor:
        return (
            torch.linspace(self.steps if self.full else self.steps // 3, self.steps, self.batch).long().to(self.device)
        )

    def randn(self, *shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
        """The same values in every dtype and on every device."""
        values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale
        return values.to(self.device, self.dtype).requires_grad_()


def contestants(case: Case) -> dict[str, Callable[[Case], Contestant]]:
    """Ours (`auto` and, on a GPU, each kernel by name) and the peers.

    torch.compile has no part in SDM: it unrolls a recurrence, which takes minutes beyond a hundred steps.
    """
    implementations = ["auto"] if case.device == "cpu" else ["auto", "triton"]
    ours = {f"dual_hpc {name}": lambda c, name=name: OURS[c.op](c, name) for name in implementations}
    on_gpu = case.device == "cuda"
    if case.op == "alignment":
        compiled = {"compiled torch": lambda c: eager_alignment(c, compiled=True)} if on_gpu else {}
        return ours | {"eager torch": eager_alignment} | compiled
    if case.op == "vdm":
        more = (
            {
                "compiled torch": lambda c: eager_vdm(c, compiled=True),
                "Liger's LayerNorm": liger_vdm,
                "fla's token_shift": fla_vdm,
            }
            if on_gpu
            else {}
        )
        return ours | {"eager torch": eager_vdm, "nn.LSTM on the concatenation": lstm} | more
    ours["dual_hpc parallel"] = lambda c: our_sdm(c, "parallel")
    peers = {
        "nn.LSTM on the concatenation": lstm,
        "packed nn.LSTM": lambda c: lstm(c, packed=True),
        "eager torch": lambda c: our_sdm(c, "reference"),
    }
    if on_gpu and case.dtype == torch.bfloat16:
        peers["fp16 nn.LSTM"] = lambda c: lstm(Case(c.op, c.batch, c.steps, c.width, torch.float16, c.device))
    if on_gpu:  # whoever is not installed is named by the report
        peers["torchrl Triton LSTM"] = torchrl_lstm
    if on_gpu and case.dtype == torch.float32:
        peers["haste"] = haste_lstm
    if on_gpu and (case.batch, case.width, case.dtype) == FLASHRNN:
        peers["FlashRNN"] = flashrnn_lstm
    return ours | peers


def sdm_weights(case: Case) -> list[Tensor]:
    """weight_prev, weight_cur, weight_rec [4D, D] and bias [4D], H = D, at nn.LSTM's scale."""
    wide, scale = 4 * case.width, case.width**-0.5 / 3**0.5
    shapes = [(wide, case.width)] * 3 + [(wide,)]
    return [case.randn(*shape, seed=2 + n, scale=scale) for n, shape in enumerate(shapes)]


def our_sdm(case: Case, implementation: str) -> Contestant:
    x, weights, lengths = case.randn(case.batch, case.steps, case.width), sdm_weights(case), case.lengths

    def forward() -> Tensor:
        return sdm(x, *weights, lengths=lengths, implementation=implementation, with_state=False)[0]

    return forward, [x, *weights]


def lstm(case: Case, packed: bool = False) -> Contestant:
    """nn.LSTM as its users call it, on concat(x_{t-1}, x_t); padded outputs set to zero, as ours are."""
    x, lengths = case.randn(case.batch, case.steps, case.width), case.lengths
    module = nn.LSTM(2 * case.width, case.width, batch_first=True).to(case.device, case.dtype)
    prev, cur, rec, bias = sdm_weights(case)
    with torch.no_grad():
        for parameter, value in zip(module.parameters(), (torch.cat([prev, cur], 1), rec, bias, 0 * bias), strict=True):
            parameter.copy_(value)
    padding = torch.arange(case.steps, device=case.device) >= lengths[:, None]
    on_cpu = lengths.cpu()

    def forward() -> Tensor:
        both = torch.cat([torch.cat([x[:, :1], x[:, :-1]], 1), x], -1)
        if not packed:
            return module(both)[0].masked_fill(padding[..., None], 0)
        sequence = nn.utils.rnn.pack_padded_sequence(both, on_cpu, batch_first=True, enforce_sorted=False)
        return nn.utils.rnn.pad_packed_sequence(module(sequence)[0], batch_first=True, total_length=case.steps)[0]

    return forward, [x, *module.parameters()]


def torchrl_lstm(case: Case) -> Contestant:
    """torchrl's Triton kernels on the same concatenation; they read fp32 and multiply in `compute_dtype`."""
    from torchrl.modules.tensordict_module._rnn_triton import lstm_triton

    x = case.randn(case.batch, case.steps, case.width)
    weights, lengths = sdm_weights(case), case.lengths
    start = torch.zeros(case.batch, case.steps, case.width, device=case.device)
    never = torch.zeros(case.batch, case.steps, dtype=torch.bool, device=case.device)
    padding = torch.arange(case.steps, device=case.device) >= lengths[:, None]

    def forward() -> Tensor:
        both = torch.cat([torch.cat([x[:, :1], x[:, :-1]], 1), x], -1).float()
        prev, cur, rec, bias = (w.float() for w in weights)
        joined = torch.cat([prev, cur], 1)
        out = lstm_triton(both, start, start, joined, rec, bias, 0 * bias, never, compute_dtype=case.dtype)[0]
        return out.to(case.dtype).masked_fill(padding[..., None], 0)

    return forward, [x, *weights]


def haste_lstm(case: Case) -> Contestant:
    """haste's LSTM, which knows fp32 and fp64 alone; its gates are ordered i, g, f, o and its weights transposed."""
    import haste_pytorch

    x, lengths = case.randn(case.batch, case.steps, case.width), case.lengths
    module = haste_pytorch.LSTM(2 * case.width, case.width, batch_first=True).to(case.device, case.dtype)
    prev, cur, rec, bias = sdm_weights(case)

    def ordered(weight: Tensor) -> Tensor:
        i, f, g, o = weight.chunk(4)
        return torch.cat([i, g, f, o])

    with torch.no_grad():
        module.kernel.copy_(ordered(torch.cat([prev, cur], 1)).T)
        module.recurrent_kernel.copy_(ordered(rec).T)
        module.bias.copy_(ordered(bias))
    padding = torch.arange(case.steps, device=case.device) >= lengths[:, None]

    def forward() -> Tensor:
        both = torch.cat([torch.cat([x[:, :1], x[:, :-1]], 1), x], -1)
        return module(both)[0].masked_fill(padding[..., None], 0)

    return forward, [x, *module.parameters()]


def flashrnn_lstm(case: Case, backend: str = "cuda_fused") -> Contestant:
    """FlashRNN's fused LSTM with one head, fed by the projection of the same concatenation."""
    from flashrnn import flashrnn

    x, weights, lengths = case.randn(case.batch, case.steps, case.width), sdm_weights(case), case.lengths
    padding = torch.arange(case.steps, device=case.device) >= lengths[:, None]
    dtype = str(case.dtype).removeprefix("torch.")

    def forward() -> Tensor:
        both = torch.cat([torch.cat([x[:, :1], x[:, :-1]], 1), x], -1)
        prev, cur, rec, bias = weights
        projected = F.linear(both, torch.cat([prev, cur], 1)).unflatten(-1, (4, 1, case.width))
        recurrent, shift = rec.view(4, 1, case.width, case.width), bias.view(4, 1, case.width)
        states, _ = flashrnn(projected, recurrent, shift, function="lstm", backend=backend, dtype=dtype)
        return states[0].flatten(2).masked_fill(padding[..., None], 0)

    return forward, [x, *weights]


def our_vdm(case: Case, implementation: str) -> Contestant:
    x, lengths = case.randn(case.batch, case.steps, case.width), case.lengths
    scale, shift = case.randn(2 * case.width, seed=1), case.randn(2 * case.width, seed=2)
    return lambda: vdm_concat_norm(x, lengths, scale, shift, implementation=implementation), [x, scale, shift]


def eager_vdm(
    case: Case,
    norm: Callable[..., Tensor] = F.layer_norm,
    compiled: bool = False,
    token_shift: Callable[[Tensor], Tensor] | None = None,
) -> Contestant:
    """Masks, concatenation and LayerNorm as one would write them; `token_shift`: x_{t-1} - x_t by another's kernel."""
    x, lengths = case.randn(case.batch, case.steps, case.width), case.lengths
    scale, shift = case.randn(2 * case.width, seed=1), case.randn(2 * case.width, seed=2)
    step = torch.arange(case.steps, device=case.device)
    valid, last = (step < lengths[:, None])[..., None], (step == lengths[:, None] - 1)[..., None]

    def forward() -> Tensor:
        following = torch.cat([x[:, 1:], x[:, :1]], 1) - x if token_shift is None else token_shift(x.flip(1)).flip(1)
        change = torch.where(last, x, following)
        both = torch.cat([x, change], -1).masked_fill(~valid, 0)
        return norm(both, both.shape[-1:], scale, shift).masked_fill(~valid, 0)

    return torch.compile(forward) if compiled else forward, [x, scale, shift]


def liger_vdm(case: Case) -> Contestant:
    """The same with Liger-Kernel's LayerNorm."""
    from liger_kernel.ops.layer_norm import LigerLayerNormFunction

    return eager_vdm(case, lambda x, _, weight, bias: LigerLayerNormFunction.apply(x, weight, bias, 1e-5))


def fla_vdm(case: Case) -> Contestant:
    """The same with flash-linear-attention's kernel for the difference, which looks the other way in time."""
    from fla.modules.token_shift import token_shift

    return eager_vdm(case, token_shift=token_shift)


def our_alignment(case: Case, implementation: str) -> Contestant:
    a, v = (case.randn(case.batch, case.steps, case.width, seed=n) for n in (0, 1))
    tau, lengths = torch.tensor(0.07, device=case.device, requires_grad=True), case.lengths
    return lambda: alignment_loss(a, v, lengths, tau, implementation=implementation), [a, v, tau]


def eager_alignment(case: Case, compiled: bool = False) -> Contestant:
    """Similarity matrices, masks and two cross-entropies, as one would write them."""
    a, v = (case.randn(case.batch, case.steps, case.width, seed=n) for n in (0, 1))
    tau, lengths = torch.tensor(0.07, device=case.device, requires_grad=True), case.lengths
    step = torch.arange(case.steps, device=case.device)
    valid = step < lengths[:, None]
    target = torch.where(valid, step, -100)

    def forward() -> Tensor:
        similarity = F.normalize(a, dim=-1) @ F.normalize(v, dim=-1).transpose(1, 2) / tau
        similarity = similarity.masked_fill(~(valid[:, None] & valid[..., None]), -1e4).float()
        rows = F.cross_entropy(similarity.transpose(1, 2), target, reduction="none").sum(1)
        columns = F.cross_entropy(similarity, target, reduction="none").sum(1)
        return (rows + columns) / (2 * lengths)

    return torch.compile(forward) if compiled else forward, [a, v, tau]


OURS = {"sdm": our_sdm, "vdm": our_vdm, "alignment": our_alignment}
