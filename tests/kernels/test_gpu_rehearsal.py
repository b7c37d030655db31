"""The checks of `test_gpu.py` and the GPU's part of the benchmark, rehearsed in the interpreter at tiny sizes."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("triton")

spec = importlib.util.spec_from_file_location("gpu_checks", Path(__file__).with_name("gpu_checks.py"))
checks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(checks)


def test_the_checks_pass_in_the_interpreter() -> None:
    # fp16: the interpreter computes dots of bf16 wrongly. A CPU's LSTM computes fp16 in fp32: no peer for it.
    checks.check_sdm_error("cpu", torch.float16, batch=3, steps=3, hidden=8, peer="reference")
    checks.check_repeats("cpu", torch.float16, batch=2, steps=2, hidden=8, times=1)
    checks.check_long("cpu", torch.float16, batch=1, steps=4, hidden=8)
    checks.run_everything("cpu", torch.float32, (8,), batch=2, width=8)


def test_a_check_finds_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    real = checks.run_sdm

    def off(x: Any, weights: Any, lengths: Any, implementation: str) -> Any:
        out = real(x, weights, lengths, implementation)
        return [1.01 * t for t in out] if implementation == "triton" else out

    monkeypatch.setattr(checks, "run_sdm", off)
    with pytest.raises(AssertionError):
        checks.check_sdm_error("cpu", torch.float32, batch=3, steps=3, hidden=8)


TINY = [("sdm", torch.bfloat16), ("sdm", torch.float16), ("vdm", torch.bfloat16), ("alignment", torch.bfloat16)]


class Pretended(str):
    """Says that it is CUDA, and is the CPU where tensors are made."""

    __hash__ = str.__hash__

    def __eq__(self, other: Any) -> Any:
        return other == "cuda"

    def __ne__(self, other: Any) -> Any:
        return other != "cuda"


class Event:
    def __init__(self, enable_timing: Any) -> None:
        assert enable_timing

    def record(self) -> None:
        self.at = time.perf_counter()

    def elapsed_time(self, other: Any) -> Any:
        return 1e3 * (other.at - self.at) + 1e-3


@pytest.fixture
def gpu_benchmark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The benchmark with a CPU in the place of its GPU."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    import benchmarks.kernels.__main__ as main

    for name, stand_in in dict(
        Event=Event,
        synchronize=lambda: None,
        reset_peak_memory_stats=lambda: None,
        memory_allocated=lambda: 0,
        max_memory_allocated=lambda: 1 << 20,
        get_device_name=lambda: "a pretended GPU",
    ).items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    monkeypatch.setattr(main.measure, "copy_gbps", lambda: 1.0)
    monkeypatch.setattr(main.faulthandler, "dump_traceback_later", lambda *args, **kwargs: None)
    monkeypatch.setattr(torch, "compile", lambda forward: forward)
    assert {(op, dtype) for op, _, _, _, dtype in main.GPU} >= set(TINY)
    monkeypatch.setattr(main, "GPU", [(op, 2, 3, 4, dtype) for op, dtype in TINY])
    monkeypatch.setattr(main, "CUDA", Pretended("cpu"))
    monkeypatch.setattr(main.record, "RESULTS", tmp_path)
    return main


def test_the_benchmark_walks_through_everything_that_it_does_on_a_gpu(
    gpu_benchmark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["kernels", "--device", "cuda", "--seconds", "0"])
    with contextlib.suppress(SystemExit):  # bf16 is wrong in the interpreter, and the benchmark says so
        gpu_benchmark.main()
    report = json.loads((tmp_path / "kernels_gpu.json").read_text())
    assert {entry["case"].split()[0] for entry in report["cases"]} == {"sdm", "vdm", "alignment"}
    for entry in report["cases"]:
        for name, found in entry["contestants"].items():
            if "both" in found:
                assert found["longest_kernels"] is not None
                assert found["peak_bytes"] == 1 << 20
            else:
                assert name in entry["wrong"]
    sdm = next(e for e in report["cases"] if e["case"].startswith("sdm") and "bfloat16" in e["case"])["contestants"]
    assert {"dual_hpc triton", "fp16 nn.LSTM", "packed nn.LSTM", "torchrl Triton LSTM"} <= set(sdm)
    assert "both" in sdm["fp16 nn.LSTM"]
    assert "a pretended GPU" in report["note"]
    assert (tmp_path / "kernels_gpu.svg").exists()
