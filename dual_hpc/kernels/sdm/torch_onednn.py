"""The `torch` path of SDM on a CPU: oneDNN's LSTM, without what torch.lstm does around it, and without most padding.

A padded LSTM computes its padding. Here the batch runs in a few pieces of time, and sequences that have ended take no
part in the next piece: fewer steps, and less to keep for the backward. Forward and backward are one autograd function,
so that padding is set to zero in place.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dual_hpc.kernels.autograd_limits import forbid_double_backward

CANDIDATES = 8  # steps at which a piece may end, of as many as there are different lengths
CONTIGUOUS = torch.contiguous_format
LSTM = 2  # torch's number for this kind of cell
# Added to the pre-activations of padded steps: sigma(-HOLD) is exactly 0 and sigma(HOLD) exactly 1 in every dtype.
HOLD = 1e4


class Piece(NamedTuple):
    """Steps [begin, end) of the sequences `rows` (None: all); `padding`: which of its [t * n] steps are padding."""

    begin: int
    end: int
    rows: Tensor | None
    padding: Tensor | None


def price(hidden: int) -> int:
    """What one more piece costs, in steps of one sequence: calls, and the weights, which oneDNN reorders each time."""
    return 60 + 28_000 // hidden


def ends(lengths: list[int], price: int) -> list[int]:
    """Where pieces end so that the steps computed, plus `price` per piece, are fewest; the last is the longest length.

    Of many different lengths `CANDIDATES` are considered. Empty where nothing is valid.
    """
    ordered = sorted(lengths)
    longest = ordered[-1]
    stops = sorted({ordered[-1 - i * len(ordered) // CANDIDATES] for i in range(CANDIDATES)} - {0})
    ended = [bisect_right(ordered, start) for start in (0, *stops)]
    # A cut spares the rest of what has ended; several spare no more than the sum of what each would spare alone.
    if all(n * (longest - stop) <= price for n, stop in zip(ended, (0, *stops), strict=True)):
        return stops[-1:]
    best: list[tuple[int, list[int]]] = [(0, [])]  # the least cost of everything before each start, and how
    for stop in stops:
        known = zip(best, (0, *stops), ended, strict=False)
        best.append(
            min((cost + price + (len(ordered) - n) * (stop - start), [*cuts, stop]) for (cost, cuts), start, n in known)
        )
    return best[-1][1]


def cut(lengths: Tensor | None, steps: int, hidden: int, whole: bool) -> list[Piece]:
    """The pieces of a batch; one for all steps and sequences if it is to be computed `whole`."""
    if lengths is None:
        return [Piece(0, steps, None, None)]
    known = lengths.tolist()
    if not known:
        return []
    shortest = min(known)
    pieces, begin = [], 0
    for end in [steps] if whole else ends(known, price(hidden)):
        rows = None if whole or shortest > begin else (lengths > begin).nonzero().view(-1)
        padding = None
        if shortest < end:
            past = torch.arange(begin, end)[:, None] >= taken(lengths, rows, 0)
            padding = past.view(-1).nonzero().view(-1)
        pieces.append(Piece(begin, end, rows, padding))
        begin = end
    return pieces


def taken(x: Tensor, rows: Tensor | None, dim: int) -> Tensor:
    """The sequences `rows` of x."""
    return x if rows is None else x.index_select(dim, rows)


def put(whole: Tensor, rows: Tensor | None, part: Tensor, dim: int) -> Tensor:
    """`whole` with `part` in place of the sequences `rows`."""
    part = part.to(whole.dtype)
    return part if rows is None else whole.index_copy(dim, rows, part)


def zero(x: Tensor, padding: Tensor | None) -> None:
    """Zero the rows `padding` of x [t, n, ...] in place: a quarter of the time of a mask."""
    if padding is not None:
        x.view(-1, x.shape[2]).index_fill_(0, padding, 0)


def neighbours(x: Tensor, before: Tensor | None, piece: Piece, hold: bool) -> Tensor:
    """[x_{t-1}; x_t] of a piece of x [B, T, D] as [t, n, 2D], zero in the padding; `hold`: one more column, 1 there."""
    begin, end, rows, padding = piece
    width = x.shape[2]
    here = taken(x[:, begin:end], rows, 0).transpose(0, 1)
    out = x.new_empty(*here.shape[:2], 2 * width + hold)
    previous, current = out[..., :width], out[..., width : 2 * width]
    current.copy_(here)
    zero(current, padding)
    previous[1:] = current[:-1]
    if begin:
        previous[0] = taken(x[:, begin - 1], rows, 0)
    else:
        previous[0] = current[0] if before is None else taken(before, rows, 0)
    if hold:
        out[..., 2 * width] = 0
        if padding is not None:
            out.view(-1, 2 * width + 1)[:, 2 * width].index_fill_(0, padding, 1)
    return out


def concatenate_weights(
    weight_prev: Tensor, weight_cur: Tensor, weight_rec: Tensor, bias: Tensor, hold: bool
) -> tuple[Tensor, ...]:
    """The weights of an LSTM on the concatenation; `hold`'s column closes the input gate, opens the remember gate."""
    columns = [weight_prev, weight_cur]
    if hold:
        gates = bias.new_tensor([-HOLD, HOLD, 0.0, 0.0])
        columns.append(gates.repeat_interleave(weight_rec.shape[1])[:, None])
    return torch.cat(columns, 1), weight_rec, bias, torch.zeros_like(bias)


class OneDnnSdm(torch.autograd.Function):
    """SDM as oneDNN's LSTM over the pieces of a batch; called through `apply`."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight_prev: Tensor,
        weight_cur: Tensor,
        weight_rec: Tensor,
        bias: Tensor,
        h: Tensor,
        c: Tensor,
        before: Tensor | None,
        lengths: Tensor | None,
        hold: bool,
        train: bool,
    ) -> tuple[Tensor, Tensor]:
        """Piece by piece: run the LSTM on the sequences that have not ended, and carry h and c on.

        Args:
            x: [B, T, D]. weight_prev, weight_cur: [4H, D]. weight_rec: [4H, H]. bias: [4H]. h, c: [B, H].
            before: the step before x, [B, D]; None: there is none, and x_0 := x_1.
            lengths: int [B]; None: all are T.
            hold: keep the state of a sequence at its last valid value through its padding (see `concatenate_weights`).
            train: keep for `backward` what oneDNN's needs: 7 tensors a piece, its workspace the last of them.

        Returns:
            h [T, B, H], zero in the padding, and the last c [B, H], which is meaningless without `hold` unless all
            lengths are T.
        """
        batch, steps, ctx.width = x.shape
        ctx.hidden, ctx.started = weight_rec.shape[1], before is not None
        weights = concatenate_weights(weight_prev, weight_cur, weight_rec.detach(), bias.detach(), hold)
        ctx.pieces = cut(lengths, steps, ctx.hidden, whole=hold)
        ctx.whole = len(ctx.pieces) == 1 and ctx.pieces[0].rows is None and ctx.pieces[0].end == steps
        out = None if ctx.whole else x.new_zeros(steps, batch, ctx.hidden)
        h, c = h.detach()[None], c.detach()[None]
        kept: list[Tensor] = []
        for piece in ctx.pieces:
            both = neighbours(x, before, piece, hold)
            start = taken(h, piece.rows, 1), taken(c, piece.rows, 1)
            with torch.set_grad_enabled(train):  # it makes its workspace only where gradients are on
                found, h_end, c_end, workspace = torch.ops.aten.mkldnn_rnn_layer(
                    both, *weights, *start, False, [], LSTM, ctx.hidden, 1, True, False, False, train
                )
            if train:
                kept += [both, *start, found, h_end, c_end, workspace]
            h, c = put(h, piece.rows, h_end, 1), put(c, piece.rows, c_end, 1)
            zero(found, piece.padding)
            if out is None:
                out = found
            elif piece.rows is None:
                out[: piece.end] = found
            else:
                out[piece.begin : piece.end].index_copy_(1, piece.rows, found)
        assert out is not None
        # The parameters themselves: ZeRO-3 takes their values away until the backward, and would not those of a copy.
        ctx.save_for_backward(weights[0], weight_rec, bias, weights[3], *kept)
        return out, c[0]

    @staticmethod
    def backward(ctx: Any, dout: Tensor, dc_last: Tensor) -> tuple[Tensor | None, ...]:
        """The pieces in reverse: the gradients of h, c and of x_{t-1} that leave a piece enter the one before it.

        Args:
            dout: of h, [T, B, H]; what lies in its padding is ignored. dc_last: of the last c, [B, H].

        Returns:
            Gradients of the inputs of `forward` in their order: x [B, T, D], the four weights, h, c [B, H] and before
            [B, D] (None where there was none); None for lengths, hold and train.
        """
        forbid_double_backward("sdm")
        width, dtype = ctx.width, dout.dtype
        weights, kept = ctx.saved_tensors[:4], ctx.saved_tensors[4:]
        shape = *dout.shape[:2], width
        dx = dout.new_empty(shape) if ctx.whole else dout.new_zeros(shape)
        dh, dc, dbefore = torch.zeros_like(dc_last)[None], dc_last[None], dout.new_zeros(shape[1:])
        dweights: list[Tensor] = []
        for number, (begin, end, rows, padding) in reversed(list(enumerate(ctx.pieces))):
            both, h, c, found, h_end, c_end, workspace = kept[7 * number : 7 * number + 7]
            grad = dout[begin:end].clone(memory_format=CONTIGUOUS) if rows is None else taken(dout[begin:end], rows, 1)
            zero(grad, padding)
            states = h, c, found, h_end, c_end, grad, taken(dh, rows, 1), taken(dc, rows, 1)
            dboth, *more, dh_start, dc_start = torch.ops.aten.mkldnn_rnn_layer_backward(
                both, *weights, *states, False, LSTM, ctx.hidden, 1, True, True, False, [], False, workspace
            )
            dh, dc = put(dh, rows, dh_start, 1), put(dc, rows, dc_start, 1)
            dweights = [a + b for a, b in zip(dweights, more, strict=True)] if dweights else more
            previous, current = dboth[..., :width], dboth[..., width : 2 * width]
            step = dx[begin:end] if rows is None else dx.new_empty(*grad.shape[:2], width)
            torch.add(current[:-1], previous[1:], out=step[:-1])
            torch.add(current[-1], taken(dbefore, rows, 0), out=step[-1])
            if rows is not None:
                dx[begin:end].index_copy_(1, rows, step)
            dbefore = put(dbefore, rows, previous[0], 0)
        if not ctx.started:
            dx[0] += dbefore
        din, drec, dbias = (d.to(dtype) for d in (dweights or [torch.zeros_like(w) for w in weights])[:3])
        dprev, dcur = din[:, :width], din[:, width : 2 * width]
        nothing = (None, None, None)
        return dx.transpose(0, 1), dprev, dcur, drec, dbias, dh[0], dc[0], dbefore if ctx.started else None, *nothing
