"""Compiles every Triton kernel for GPUs that need not be here; prints what each uses as JSON, one line per kernel.

    python tests/kernels/compile_kernels.py            every kernel at every width, dtype and generation (two minutes)
    python tests/kernels/compile_kernels.py NAME ...    those whose name contains a NAME
    python tests/kernels/compile_kernels.py --hardest   of each kernel what fills its registers and memory most

Registers and stack come from the compiled binary (Triton brings cuobjdump along), shared memory from Triton. Launch
options are those that the launching code would take. Runs in its own process: in the interpreter there is no compiler.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from dual_hpc.kernels.alignment_loss import triton_alignment
from dual_hpc.kernels.dispatch import TRITON_WIDTH
from dual_hpc.kernels.sdm import triton_engine, triton_exchange, triton_resident
from dual_hpc.kernels.vdm import triton_vdm

NAMES = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}
# Kept in registers or shared memory to the brim: whoever changes a kernel sees it here first.
HARDEST = (
    *("sdm_forward_bf16_128", "sdm_backward_bf16_128", "sdm_forward_bf16_256", "sdm_backward_bf16_256"),
    *("sdm_forward_bf16_1024", "sdm_backward_bf16_512", "sdm_forward_fp32_64", "sdm_backward_fp32_256"),
    *("vdm_backward_kernel_bf16_512", "vdm_forward_kernel_fp32_1024"),
    *("alignment_lse_kernel_bf16_256", "alignment_gradient_kernel_bf16_256"),
)
SDM = {
    **dict.fromkeys(("pre", "weight", "exchange", "h0", "c0", "h", "h_last", "dh_out"), None),
    **dict.fromkeys(("c", "c_last", "dh", "dc"), "*fp32"),
    **dict.fromkeys(("order", "lengths", "arrived"), "*i32"),
    **dict.fromkeys(("first_tile", "begin", "end", "steps", "batch"), "i32"),
}
VDM = {
    **dict.fromkeys(("x", "weight", "bias", "out", "dout", "dx"), None),
    **{"lengths": "*i32", "partial": "*fp32", "steps": "i32", "chunk": "i32", "eps": "fp32"},
}
ALIGNMENT = {
    **dict.fromkeys(("q", "k"), None),
    **dict.fromkeys(("tau", "lse", "lse_q", "lse_k", "share", "dq"), "*fp32"),
    **{"lengths": "*i32", "steps": "i32", "batch": "i32"},
}


def cases() -> list[tuple[str, int, Any, dict[str, str | None], torch.dtype, dict[str, Any]]]:
    """(name, architecture, kernel, types, dtype, constants and launch options) of everything that the gates cover."""
    out = []
    for arch in (80, 90, 100):
        widths = [(dtype, hidden) for dtype in NAMES for hidden in (64, 128, 256, 512, 1024)]
        for dtype, hidden in widths:
            for direction in ("forward", "backward"):
                cut = triton_engine.plan(hidden, dtype.itemsize, direction == "backward", arch)
                module = triton_resident if cut.parts == 1 else triton_exchange
                options = dict(
                    H=hidden,
                    UNITS=cut.units,
                    ROWS=triton_engine.ROWS,
                    BLOCK=cut.block,
                    PARTS=cut.parts,
                    KEEP=cut.keep,
                    ACC=tl.float32,
                    num_warps=cut.warps,
                    num_stages=1,
                )
                kernel = getattr(module, f"{direction}_kernel")
                out.append((f"sdm_{direction}_{NAMES[dtype]}_{hidden}", arch, kernel, SDM, dtype, options))
        for dtype, width in [(dtype, width) for dtype in NAMES for width in (64, 256, 512, 1024)]:
            x = torch.empty(1, 1, width, dtype=dtype)
            for kernel, size in ((triton_vdm.forward_kernel, 2048), (triton_vdm.backward_kernel, 1024)):
                name = f"vdm_{kernel.__name__}_{NAMES[dtype]}_{width}"
                out.append((name, arch, kernel, VDM, x.dtype, triton_vdm.sizes(x, size)))
            if dtype == torch.float32 or width > TRITON_WIDTH["alignment_loss"]:
                continue  # the alignment loss runs torch then
            for kernel, warps in ((triton_alignment.lse_kernel, 4), (triton_alignment.gradient_kernel, 8)):
                name = f"alignment_{kernel.__name__}_{NAMES[dtype]}_{width}"
                out.append((name, arch, kernel, ALIGNMENT, x.dtype, triton_alignment.sizes(x, width != 256, warps)))
    # A launch turns a size of 1 into a constant.
    for name, arch, kernel, types, dtype, options in list(out):
        if arch == 90 and dtype == torch.bfloat16 and name.endswith("_256"):
            ones = {n: 1 for n in ("batch", "steps") if n in kernel.arg_names and (n, types) != ("steps", SDM)}
            out.append((f"{name}_single", arch, kernel, types, dtype, options | ones))
    return out


def usage(
    arch: int, kernel: Any, types: dict[str, str | None], dtype: torch.dtype, options: dict[str, Any]
) -> dict[str, Any]:
    """Registers and stack bytes per thread, shared memory bytes per program, and the matrix instruction used."""
    fixed = {n for n in kernel.arg_names if n not in types or n in options}
    signature = {n: "constexpr" if n in fixed else types[n] or f"*{NAMES[dtype]}" for n in kernel.arg_names}
    constants = {n: options[n] for n in signature if n in fixed}
    aligned = {(i,): [["tt.divisibility", 16]] for i, t in enumerate(signature.values()) if t.startswith("*")}
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=aligned)
    launch = {n: options[n] for n in ("num_warps", "num_stages") if n in options}
    compiled = triton.compile(source, target=GPUTarget("cuda", arch, 32), options=launch)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as binary:
        binary.write(compiled.asm["cubin"])
        binary.flush()
        tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
        report = subprocess.run([tool, "-res-usage", binary.name], capture_output=True, text=True, check=True).stdout
    found = re.search(r"REG:(\d+) STACK:(\d+)", report)
    assert found, report
    instructions = [i for i in ("wgmma", "tcgen05.mma", "mma.sync") if i in compiled.asm["ptx"]]
    return dict(registers=int(found[1]), stack=int(found[2]), shared=compiled.metadata.shared, matrix=instructions)


def main() -> None:
    """Print one JSON object per case."""
    wanted = HARDEST if sys.argv[1:] == ["--hardest"] else sys.argv[1:]
    for name, arch, *case in cases():
        if not wanted or any(part in name for part in wanted):
            print(json.dumps(dict(name=name, arch=arch, **usage(arch, *case))), flush=True)


if __name__ == "__main__":
    main()
