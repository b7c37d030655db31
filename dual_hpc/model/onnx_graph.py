"""A model as ONNX, run by onnxruntime once before it is kept. Needs the extra `onnx`."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from dual_hpc.errors import UserError, one_line
from dual_hpc.model.graph import Batch, input_names

FILE = "model.onnx"
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
OPSET = 18


def save_onnx(program: torch.export.ExportedProgram, model: Any, folder: Path) -> Path:
    """Write `model.onnx`: inputs by the names of the tensors of a batch, output `logits`; the names of its
    columns are in its metadata.

    Raises:
        UserError: a package is missing, or the model has an operator that ONNX lacks.
    """
    require_packages()
    import dual_hpc.kernels.sdm
    import dual_hpc.model.baselines.gru_op  # noqa: F401

    table: dict[Any, Any] = {torch.ops.dual_hpc.sdm_lstm.default: _sdm, torch.ops.dual_hpc.gru.default: _gru}
    names = input_names(model)
    try:
        with _quiet():
            made = torch.onnx.export(
                program,
                (),
                dynamo=True,
                verbose=False,
                opset_version=OPSET,
                input_names=names,
                output_names=["logits"],
                custom_translation_table=table,
            )
            assert made is not None
            made.model.metadata_props["labels"] = json.dumps(model.config.labels)
            made.model.metadata_props["dimensions"] = json.dumps(list(model.config.dimensions))
            made.save(str(folder / FILE))
    except torch.onnx.errors.OnnxExporterError as error:
        found = error.__cause__ or error
        reason = one_line((str(found).strip().splitlines() or [type(found).__name__])[0], 300)
        raise UserError(f"--onnx: the {model.config.model_type!r} model cannot be ONNX ({reason})") from error
    return folder / FILE


def onnx_session(path: Path) -> Callable[[Batch], torch.Tensor]:
    """Run a file of `save_onnx` by onnxruntime on the CPU: tensors by name -> logits [B, C].

    Raises:
        UserError: onnxruntime is not installed.
    """
    require_packages()
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    known = [one.name for one in session.get_inputs()]

    def run(batch: Batch) -> torch.Tensor:
        (logits,) = session.run(["logits"], {name: batch[name].numpy() for name in known})
        return torch.from_numpy(logits)

    return run


def require_packages() -> None:
    """Refuse early where the extra is not installed.

    Raises:
        UserError: names what is missing.
    """
    from importlib.util import find_spec

    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise UserError(f"--onnx: needs {', '.join(missing)}: pip install 'dual-hpc[onnx]'")


def _sdm(
    x: Any, weight_prev: Any, weight_cur: Any, weight_rec: Any, bias: Any, lengths: Any, h0: Any, c0: Any, before: Any
) -> tuple[Any, Any, Any]:
    """`dual_hpc::sdm_lstm` as ONNX's LSTM on [x_{t-1}; x_t], which stops at each sequence's length and leaves zeros."""
    from onnxscript.onnx_opset import opset18 as op

    first, second = op.Constant(value_ints=[0]), op.Constant(value_ints=[1])
    steps = op.Squeeze(op.Shape(x, start=1, end=2))
    valid = op.Less(
        op.Range(op.Constant(value_int=0), steps, op.Constant(value_int=1)),
        op.Unsqueeze(lengths, second),
    )
    x = op.Where(op.Unsqueeze(valid, op.Constant(value_ints=[2])), x, op.Constant(value_float=0.0))
    earlier = op.Slice(x, first, op.Constant(value_ints=[-1]), second)
    both = op.Concat(op.Concat(op.Unsqueeze(before, second), earlier, axis=1), x, axis=2)

    def gates(weights: Any) -> Any:  # ours are i, f, g, o; ONNX's are i, o, f, c
        i, f, g, o = op.Split(weights, num_outputs=4, axis=0)
        return op.Concat(i, o, f, g, axis=0)

    ordered = gates(bias)
    out, h, c = op.LSTM(
        op.Transpose(both, perm=[1, 0, 2]),
        op.Unsqueeze(gates(op.Concat(weight_prev, weight_cur, axis=1)), first),
        op.Unsqueeze(gates(weight_rec), first),
        op.Unsqueeze(op.Concat(ordered, op.Sub(ordered, ordered), axis=0), first),
        op.Cast(lengths, to=6),  # int32
        op.Unsqueeze(h0, first),
        op.Unsqueeze(c0, first),
        hidden_size=weight_rec.shape[1],
    )
    out = op.Transpose(op.Squeeze(out, second), perm=[1, 0, 2])
    return out, op.Squeeze(h, first), op.Squeeze(c, first)


def _gru(x: Any, weight_in: Any, weight_rec: Any, bias_in: Any, bias_rec: Any) -> Any:
    """`dual_hpc::gru` as ONNX's GRU, whose gates are z, r, n."""
    from onnxscript.onnx_opset import opset18 as op

    def gates(weights: Any) -> Any:
        r, z, n = op.Split(weights, num_outputs=3, axis=0)
        return op.Concat(z, r, n, axis=0)

    first, second = op.Constant(value_ints=[0]), op.Constant(value_ints=[1])
    out, _ = op.GRU(
        op.Transpose(x, perm=[1, 0, 2]),
        op.Unsqueeze(gates(weight_in), first),
        op.Unsqueeze(gates(weight_rec), first),
        op.Unsqueeze(op.Concat(gates(bias_in), gates(bias_rec), axis=0), first),
        hidden_size=weight_rec.shape[1],
        linear_before_reset=1,
    )
    return op.Transpose(op.Squeeze(out, second), perm=[1, 0, 2])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter prints about packages and operators that this model does not have."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
