"""The choice of an implementation is a pure function, and nothing unmeasured is chosen on its own."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import pytest
import torch

from dual_hpc.errors import UserError
from dual_hpc.kernels import dispatch
from dual_hpc.kernels.dispatch import HAS, Case, Row, choose, select

CASE = Case("sdm", "sm_90", torch.bfloat16, 32, 1500, 256)


def test_auto_is_torch_where_nothing_was_measured() -> None:
    for op in HAS:
        for device in ("cpu", "sm_90", "rocm", "mps"):
            for dtype in (torch.float64, torch.float32, torch.bfloat16):
                case = Case(op, device, dtype, 7, 3, 5)
                assert choose("auto", case, triton_runs=True) == "torch"


def test_a_measured_row_is_taken_in_its_regime_only(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Row("sdm", "sm_90", frozenset({torch.bfloat16}), range(128, 257), 1000, "triton")
    monkeypatch.setattr(dispatch, "MEASURED", (row,))
    assert choose("auto", CASE, triton_runs=True) == "triton"
    assert choose("auto", CASE, triton_runs=False) == "torch"
    for other in (
        Case("sdm", "cpu", torch.bfloat16, 32, 1500, 256),
        Case("sdm", "sm_80", torch.bfloat16, 32, 1500, 256),
        Case("sdm", "sm_90", torch.float32, 32, 1500, 256),
        Case("sdm", "sm_90", torch.bfloat16, 32, 1500, 257),
        Case("sdm", "sm_90", torch.bfloat16, 1, 3, 256),
        Case("vdm_concat_norm", "sm_90", torch.bfloat16, 32, 1500, 256),
    ):
        assert choose("auto", other, triton_runs=True) == "torch"


def test_the_environment_turns_kernels_off_and_replaces_auto() -> None:
    assert choose("triton", CASE, switch="off") == "torch"
    assert choose("parallel", CASE, switch="off") == "torch"
    assert choose("auto", CASE, switch="triton", triton_runs=True) == "triton"
    assert choose("torch", CASE, switch="triton", triton_runs=True) == "torch"


def test_an_op_without_the_requested_implementation_chooses_its_own() -> None:
    assert choose("parallel", Case("alignment_loss", "cpu", torch.float32, 2, 3, 4)) == "torch"


@pytest.mark.parametrize(("dtype", "width"), [(torch.float64, 256), (torch.bfloat16, 1025)])
def test_what_the_kernel_does_not_cover_runs_torch(dtype: torch.dtype, width: int) -> None:
    assert choose("triton", Case("sdm", "sm_90", dtype, 2, 3, width), triton_runs=True) == "torch"
    assert choose("triton", Case("alignment_loss", "sm_90", torch.float32, 2, 3, 64), triton_runs=True) == "torch"


@pytest.mark.parametrize(
    "case",
    [
        Case("sdm", "sm_90", torch.bfloat16, 1 << 20, 1, 1024),
        Case("vdm_concat_norm", "sm_90", torch.bfloat16, 1, 1 << 20, 1024),
        Case("alignment_loss", "sm_90", torch.bfloat16, 1 << 15, 1 << 16, 64),
    ],
)
def test_what_32_bits_cannot_count_runs_torch(case: Any) -> None:
    assert choose("triton", case, triton_runs=True) == "torch"
    assert choose("triton", case._replace(batch=1, steps=1), triton_runs=True) == "triton"


def test_triton_runs_on_the_generations_that_it_makes_kernels_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "_TRITON_INSTALLED", True)
    monkeypatch.setattr(dispatch, "_INTERPRETING", False)
    able = {d: dispatch.triton_can_run(d) for d in ("sm_70", "sm_75", "sm_80", "sm_90", "sm_100", "rocm", "cpu", "mps")}
    assert [d for d, can in able.items() if can] == ["sm_80", "sm_90", "sm_100"]
    monkeypatch.setattr(dispatch, "_TRITON_INSTALLED", False)
    assert not dispatch.triton_can_run("sm_90")


def test_a_generation_is_a_constant_to_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.version, "hip", None)
    device = torch.device("cuda", 1)

    def there(x: Any) -> Any:
        return x + 1 if dispatch.generation(device) == "sm_90" else x

    assert torch.compile(there, backend="eager", fullgraph=True)(torch.zeros(1)) == 1
    monkeypatch.setattr(torch.version, "hip", "6.0")
    assert dispatch.generation(device) == "rocm"


@pytest.mark.parametrize(
    ("requested", "switch", "message"),
    [("cuda", "", "use one of auto"), ("auto", "on", "DUAL_HPC_KERNELS=on"), ("triton", "", "use auto or torch")],
)
def test_a_wrong_word_is_an_error_in_one_line_that_says_what_to_write(
    requested: str, switch: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        choose(requested, CASE, switch=switch)


def test_each_choice_is_logged_once(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "_logged", set())
    monkeypatch.delenv(dispatch.ENVIRONMENT_SWITCH, raising=False)
    with caplog.at_level(logging.INFO, "dual_hpc.kernels"):
        for _ in range(3):
            select("sdm", "auto", torch.zeros(2, 3, 4))
    assert [r.message for r in caplog.records] == ["sdm runs torch on cpu (requested: auto)"]


def test_the_package_imports_without_triton_and_without_the_rest_of_the_house() -> None:
    script = (
        "import sys; sys.modules['triton'] = None\n"
        "import dual_hpc.kernels.sdm.operation, dual_hpc.kernels.vdm.operation\n"
        "import dual_hpc.kernels.alignment_loss.operation\n"
        "print(sorted(m for m in sys.modules if m.startswith('dual_hpc.') and not m.startswith('dual_hpc.kernels')))\n"
        "print([m for m in ('transformers', 'deepspeed', 'mlflow', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    errors = ("credentials", "errors", "printable", "unsafe_advice")  # and what these need themselves
    announced = ("model", "model.auto_classes")  # by `import dual_hpc`, for transformers
    assert done.stdout.split("\n")[:2] == [str(sorted(f"dual_hpc.{name}" for name in (*errors, *announced))), "[]"]
