"""From a GPU's figures to rows of `MEASURED` (`dual_hpc/kernels/dispatch.py`), to be read before they are copied."""

from __future__ import annotations

from typing import Any

MARGIN = 1.05  # at least so much faster than our `torch` path: less is within the noise of a card that others use
_OPS = {"sdm": "sdm", "vdm": "vdm_concat_norm", "alignment": "alignment_loss"}


def dispatch_rows(details: list[dict[str, Any]], architecture: str) -> list[str]:
    """One row for each measured case in which the Triton kernel beat our `torch` path, as Python.

    A row reaches no further than what was measured: this width, this dtype, and as many elements or more.
    `parallel` gets none: it is not exact, so that it runs where it is asked for.

    Args:
        details: of each case, `shape` (op, batch, steps, width, dtype) and the contestants' times.
        architecture: as "sm_90".
    """
    rows = []
    for entry in details:
        op, batch, steps, width, dtype = entry["shape"]
        times = {
            name.removeprefix("dual_hpc "): found["both"][1]
            for name, found in entry["contestants"].items()
            if name.startswith("dual_hpc ") and "both" in found
        }
        torch, triton = times.get("torch", times.get("auto")), times.get("triton")
        if torch is not None and triton is not None and triton * MARGIN <= torch:
            rows.append(
                f'Row("{_OPS[op]}", "{architecture}", frozenset({{{dtype}}}), range({width}, {width + 1}), '
                f'{batch * steps * width}, "triton"),  # {torch / triton:.2f} times faster'
            )
    return rows
