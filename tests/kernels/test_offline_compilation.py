"""Gates that need no GPU: every kernel compiles for three generations, without spills and within shared memory.

Here the shapes that come closest to the limits; DUAL_EVERY_KERNEL=1 compiles all widths and dtypes, in two minutes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("triton")

EVERY = os.environ.get("DUAL_EVERY_KERNEL") == "1"
SHARED = {80: 166_912, 90: 232_448, 100: 232_448}  # bytes that one program may have


@pytest.fixture(scope="module")
def compiled() -> Any:
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    script = Path(__file__).with_name("compile_kernels.py")
    which = [] if EVERY else ["--hardest"]
    done = subprocess.run(
        [sys.executable, script, *which], capture_output=True, text=True, env=environment, timeout=1200
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_kernel_compiles_for_every_generation(compiled: Any) -> None:
    names = {arch: {c["name"] for c in compiled if c["arch"] == arch} for arch in SHARED}
    assert len(names[80]) == (66 if EVERY else 12)
    assert names[80] == names[100] <= names[90]
    assert {name.split("_bf16")[0].split("_fp32")[0] for name in names[80]} >= {
        *("sdm_forward", "sdm_backward", "vdm_forward_kernel", "vdm_backward_kernel"),
        *("alignment_lse_kernel", "alignment_gradient_kernel"),
    }


def test_no_kernel_spills_registers(compiled: Any) -> None:
    assert [(c["name"], c["arch"], c["stack"]) for c in compiled if c["stack"]] == []


def test_no_kernel_asks_for_more_shared_memory_than_there_is(compiled: Any) -> None:
    assert [(c["name"], c["arch"], c["shared"]) for c in compiled if c["shared"] > SHARED[c["arch"]]] == []


def test_resident_weights_are_read_by_the_matrix_unit_from_shared_memory(compiled: Any) -> None:
    matrix = {(c["arch"], c["name"]): c["matrix"] for c in compiled}
    for name in ("sdm_forward_bf16_128", "sdm_backward_bf16_128", "sdm_forward_bf16_256"):
        assert matrix[90, name] == ["wgmma"]
        assert matrix[100, name] == ["tcgen05.mma"]
