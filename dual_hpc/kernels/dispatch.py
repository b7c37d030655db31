"""Which implementation runs: a pure function of the request, the environment switch and the case at hand.

`auto` takes the fused path only where a row of `MEASURED` says that it won on that device; everything else, known or
unknown, runs `torch`. `DUAL_HPC_KERNELS` overrides without touching a configuration: `off` forces `torch` everywhere,
an implementation's name replaces `auto`.
"""

from __future__ import annotations

import logging
import os
from importlib.util import find_spec
from typing import NamedTuple

import torch
from torch import Tensor

from dual_hpc.errors import UserError

ENVIRONMENT_SWITCH = "DUAL_HPC_KERNELS"
IMPLEMENTATIONS = ("auto", "reference", "torch", "triton", "parallel")
HAS = {
    "sdm": frozenset({"reference", "torch", "triton", "parallel"}),
    "vdm_concat_norm": frozenset({"reference", "torch", "triton"}),
    "alignment_loss": frozenset({"reference", "torch", "triton"}),
}

# The widest last dimension that each op's Triton kernel was compiled for without spills (SDM: H); wider runs torch.
TRITON_WIDTH = {"sdm": 1024, "vdm_concat_norm": 1024, "alignment_loss": 512}

logger = logging.getLogger(__name__)
_logged: set[tuple[str, str, str]] = set()


class Case(NamedTuple):
    """What a choice may depend on: sizes are those of the op's first input, `width` its last (SDM: H).

    `device` is the generation of an NVIDIA GPU, as "sm_90", since what won on one may lose or not exist on another;
    else the device's type.
    """

    op: str
    device: str
    dtype: torch.dtype
    batch: int
    steps: int
    width: int


class Row(NamedTuple):
    """One measured win: `implementation` beat `torch` for `op` in this regime."""

    op: str
    device: str
    dtypes: frozenset[torch.dtype]
    widths: range
    elements: int
    implementation: str

    def covers(self, case: Case) -> bool:
        """Whether `case` lies in the measured regime; `elements` is the least B*T*width."""
        return (
            (self.op, self.device) == (case.op, case.device)
            and case.dtype in self.dtypes
            and case.width in self.widths
            and case.batch * case.steps * case.width >= self.elements
        )


# Only rows that benchmarks/kernels has measured. On a CPU nothing beats torch's own LSTM for SDM, and the `torch` path
# of the others is the fastest found. No CUDA row yet: the Triton kernels are tested in the interpreter and by offline
# compilation, not timed, so on CUDA they run where they are asked for by name.
MEASURED: tuple[Row, ...] = ()


def choose(requested: str, case: Case, switch: str = "", triton_runs: bool = False) -> str:
    """The implementation to run, as a pure function.

    `switch` is the environment variable's value ('' = none), `triton_runs` whether Triton can run on the case's device
    here. An op that lacks the requested implementation treats the request as `auto`: one setting of the model serves
    all ops. A case that the Triton kernel does not cover (too wide, fp64) runs torch.

    Raises:
        UserError: unknown name, or `triton` where it cannot run.
    """
    if switch not in ("", "off", *IMPLEMENTATIONS):
        raise UserError(f"{ENVIRONMENT_SWITCH}={switch}: use off or one of {', '.join(IMPLEMENTATIONS)}")
    if requested not in IMPLEMENTATIONS:
        raise UserError(f"model.kernels={requested}: use one of {', '.join(IMPLEMENTATIONS)}")
    if switch == "off":
        return "reference" if requested == "reference" else "torch"
    name = switch if requested == "auto" and switch else requested
    if name not in HAS[case.op]:
        name = "auto"
    if name == "triton" and not triton_runs:
        raise UserError(
            f"{case.op}: model.kernels=triton cannot run on {case.device} here: it needs an NVIDIA GPU from sm_80 on "
            "and the triton package; use auto or torch"
        )
    if name == "triton" and not _triton_covers(case):
        return "torch"
    if name != "auto":
        return name
    for row in MEASURED:
        if row.covers(case) and (row.implementation != "triton" or (triton_runs and _triton_covers(case))):
            return row.implementation
    return "torch"


def _triton_covers(case: Case) -> bool:
    """Whether the kernel is made for the case. In the interpreter all are: gradcheck needs fp64.

    On a GPU, fp64 is not, and the alignment loss is for 16 bits: in fp32 its whole-width tiles spill. A kernel counts
    in 32 bits within one step of the batch (SDM), one sequence (VDM), or all steps (alignment).
    """
    if case.device == "cpu":
        return True
    reach = {
        "sdm": 8 * case.batch * case.width,
        "vdm_concat_norm": 2 * case.steps * case.width,
        "alignment_loss": case.batch * case.steps,
    }
    if reach[case.op] >= 2**30:  # the other half is for what a tile overshoots
        return False
    wide = (torch.float64, torch.float32) if case.op == "alignment_loss" else (torch.float64,)
    return case.width <= TRITON_WIDTH[case.op] and case.dtype not in wide


def select(op: str, requested: str, x: Tensor, width: int | None = None) -> str:
    """`choose` for the tensor `x` [B, T, ...] in this process; says each new choice once in the log."""
    device = generation(x.device) if x.device.type == "cuda" else x.device.type
    case = Case(op, device, x.dtype, x.shape[0], x.shape[1], x.shape[-1] if width is None else width)
    if torch.compiler.is_compiling():
        return choose(requested, case, _SWITCH_AT_IMPORT, triton_can_run(case.device))
    chosen = choose(requested, case, os.environ.get(ENVIRONMENT_SWITCH, ""), triton_can_run(case.device))
    if (choice := (op, chosen, case.device)) not in _logged:
        _logged.add(choice)
        logger.info("%s runs %s on %s (requested: %s)", op, chosen, case.device, requested)
    return chosen


def interpreting() -> bool:
    """Whether Triton kernels run in its interpreter, that is on the CPU, for tests."""
    return os.environ.get("TRITON_INTERPRET", "") == "1"


@torch.compiler.assume_constant_result
def generation(device: torch.device) -> str:
    """A CUDA device's generation, as "sm_90"; "rocm" for what calls itself CUDA and is not."""
    if torch.version.hip:
        return "rocm"
    major, minor = torch.cuda.get_device_capability(device)
    return f"sm_{major}{minor}"


def triton_can_run(device: str) -> bool:
    """Whether a Triton kernel can run on tensors of this device (see `Case`). Triton makes none for less than sm_80."""
    recent = device.startswith("sm_") and int(device[3:]) >= 80
    return _TRITON_INSTALLED and (recent or (device == "cpu" and _INTERPRETING))


# Read once: none of them changes within a process, and a traced graph cannot look.
_SWITCH_AT_IMPORT = os.environ.get(ENVIRONMENT_SWITCH, "")
_TRITON_INSTALLED = find_spec("triton") is not None
_INTERPRETING = interpreting()
