"""On a CUDA device: the compiled kernels against fp64, in the precision that training uses, and suspected of races.

Nothing here has run yet where no GPU was at hand; the interpreter covers the arithmetic, not the exchange between
programs that run at once.
"""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dual_hpc.kernels.alignment_loss.operation import alignment_loss

pytestmark = [
    pytest.mark.gpu,
    # A program may wait for one that never runs. The host then hangs in the driver, where no signal reaches it.
    pytest.mark.timeout(60, method="thread"),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

CHECKS = Path(__file__).with_name("gpu_checks.py")
spec = importlib.util.spec_from_file_location("gpu_checks", CHECKS)
checks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(checks)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("hidden", [64, 100, 128, 256, 512, 1024])
def test_its_error_is_at_most_half_again_that_of_an_lstm_in_the_same_dtype(dtype: torch.dtype, hidden: int) -> None:
    checks.check_sdm_error("cuda", dtype, batch=19, steps=60, hidden=hidden)


@pytest.mark.parametrize("hidden", [128, 256, 512, 1024])
def test_fifty_runs_agree_to_the_bit(hidden: int) -> None:
    checks.check_repeats("cuda", torch.bfloat16, batch=70, steps=40, hidden=hidden, times=50)


@pytest.mark.parametrize("hidden", [128, 256])
def test_ten_thousand_steps_end_and_stay_finite(hidden: int) -> None:
    checks.check_long("cuda", torch.bfloat16, batch=8, steps=10_000, hidden=hidden)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("width", [64, 100, 256, 512])
def test_vdm_and_alignment_are_no_worse_than_torch_in_the_same_dtype(dtype: torch.dtype, width: int) -> None:
    checks.check_others_error("cuda", dtype, steps=150, width=width)


@pytest.mark.timeout(600, method="thread")
@pytest.mark.parametrize("tool", ["memcheck", "racecheck"])
def test_a_sanitizer_finds_nothing(tool: str) -> None:
    if not (sanitizer := shutil.which("compute-sanitizer")):
        pytest.skip("compute-sanitizer, of the CUDA toolkit, is not on the PATH")
    command = [sanitizer, "--tool", tool, "--error-exitcode", "9", sys.executable, CHECKS, "cuda"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=540)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


def test_the_similarity_matrix_is_never_stored() -> None:
    a, v = (torch.randn(8, 2048, 128, device="cuda", dtype=torch.bfloat16, requires_grad=True) for _ in range(2))
    lengths = torch.full((8,), 2048, device="cuda")
    matrix = 8 * 2048 * 2048 * 2
    alignment_loss(a, v, lengths, 0.07, implementation="triton").sum().backward()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    alignment_loss(a, v, lengths, 0.07, implementation="triton").sum().backward()
    linear = 16 * a.numel() * 4  # vectors of the inputs' size, in fp32
    assert torch.cuda.max_memory_allocated() - before < linear + 0.02 * matrix
