"""The parts of `make gpu` that need no GPU to be right: the table, the comparison, the profile, the dispatch rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.autograd import DeviceType

from benchmarks import record
from benchmarks.gpu import table
from benchmarks.gpu.busy import summary
from benchmarks.gpu.facts import Facts
from benchmarks.gpu.training import comparison, tensors
from benchmarks.kernels.dispatch_rows import dispatch_rows
from dual_hpc.kernels import dispatch

ROOT = Path(__file__).resolve().parents[3]


def test_the_table_shows_every_part_also_those_that_failed_or_never_ran(tmp_path: Path) -> None:
    Facts(tmp_path / "machine.jsonl").add("device", "NVIDIA H100 | 80 GB", free=3)
    for name, code, said in (
        ("machine", "0 3", "x"),
        ("training", "124 190", "half way"),
        ("step", "1 9", "Error: no"),
    ):
        (tmp_path / f"{name}.code").write_text(code)
        (tmp_path / f"{name}.log").write_text(f"first\n{said}\n\n")
    (tmp_path / "kernel-tests.code").write_text("0 80")
    (tmp_path / "kernel-tests.log").write_text("35 passed in 79.00s\n")
    rows = [record.row("sdm", 1.0, 2.0, "nn.LSTM", "ms", True), record.row("sdm", 0.0, 2.0, "x", "MB", True)]
    (tmp_path / "kernels_gpu.json").write_text(json.dumps({"note": "of it", "rows": rows, "dispatch": ["Row(1)"]}))
    report = table.collect(tmp_path)
    told = {name: part["outcome"] for name, part in report["parts"].items()}
    assert told == {
        "machine": "done in 3 s",
        "kernel-tests": "done in 80 s: 35 passed in 79.00s",
        "training": "ended by its limit after 190 s: half way",
        "step": "failed after 9 s: Error: no",
        "kernels": "not run: ",
        "memcheck": "not run: ",
    }
    text = table.markdown(report)
    assert "cores, NVIDIA H100 | 80 GB, load" in text and "no GPU used" not in text
    assert "| machine | device | NVIDIA H100 \\| 80 GB  |" in text and "| sdm | 1 | 2 | nn.LSTM | ms | 2.00 |" in text
    assert "```python\nRow(1)\n```" in text and "World size 1" in text


def test_states_are_compared_tensor_by_tensor() -> None:
    state = {"a": [torch.ones(2), {"b": torch.zeros(1)}], "n": 3, "empty": torch.ones(0)}
    found = dict(tensors(state))
    assert list(found) == [".a.0", ".a.1.b", ".empty"]
    assert comparison(found, dict(tensors(state))) == {"value": "the same bits", "tensors": 3}
    other = {**found, ".a.0": torch.tensor([1.0, 1.25])}
    assert comparison(found, other) == {"value": "apart by at most 0.25", "tensors": 3}
    assert (
        "not comparable: 3 and 2 tensors" in comparison(found, {k: v for k, v in found.items() if k != ".a.0"})["value"]
    )
    assert "not comparable" in comparison({}, {})["value"]


def kernel(name: str, start: float, end: float, where: Any = DeviceType.CUDA) -> SimpleNamespace:
    return SimpleNamespace(name=name, device_type=where, time_range=SimpleNamespace(start=start, end=end))


def test_a_device_is_idle_where_no_kernel_runs_on_any_stream() -> None:
    found = summary([kernel("a", 0, 4), kernel("b", 2, 5), kernel("a", 8, 10), kernel("c", 0, 99, DeviceType.CPU)])
    assert found["idle"] == pytest.approx(0.3) and found["longest"] == {"a": 0.667, "b": 0.333}
    assert summary([kernel("c", 0, 9, DeviceType.CPU)]) == {"idle": None, "longest": {}}


def entry(triton: float | None, torch_: float, op: str = "sdm") -> dict[str, Any]:
    times = {"dual_hpc torch": torch_, "dual_hpc triton": triton, "nn.LSTM": 0.1, "dual_hpc parallel": 0.2}
    contestants = {name: {"both": [0, time, 9]} for name, time in times.items() if time is not None}
    return {"shape": (op, 32, 1500, 256, "torch.bfloat16"), "contestants": contestants}


def test_what_won_on_a_gpu_becomes_rows_that_choose_it_there_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = dispatch_rows([entry(1.0, 3.0), entry(1.0, 1.04), entry(None, 3.0), entry(2.0, 1.0, "vdm")], "sm_90")
    assert len(lines) == 1 and lines[0].endswith("# 3.00 times faster")
    row = eval(lines[0].split(",  #")[0], {"Row": dispatch.Row, "torch": torch, "frozenset": frozenset, "range": range})
    monkeypatch.setattr(dispatch, "MEASURED", (row,))
    case = dispatch.Case("sdm", "sm_90", torch.bfloat16, 32, 1500, 256)
    assert dispatch.choose("auto", case, triton_runs=True) == "triton"
    for other in (case._replace(device="sm_80"), case._replace(steps=10), case._replace(width=128)):
        assert dispatch.choose("auto", other, triton_runs=True) == "torch"


def test_results_name_the_gpu_that_was_used_and_need_no_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "no GPU used" in record.machine()
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100")
    assert "NVIDIA H100 (CUDA" in record.machine()

    def missing(*words: object, **more: object) -> None:
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", missing)
    path = record.write("trial", [], "so far", folder=tmp_path / "new")
    assert json.loads(path.read_text())["commit"] == "not known" and record.commit() == "not known"
    assert sorted(file.name for file in path.parent.iterdir()) == ["trial.json", "trial.md"]


def test_the_script_is_a_program_that_bash_understands_and_asks_for_shards() -> None:
    script = ROOT / "benchmarks" / "gpu.sh"
    assert subprocess.run(["bash", "-n", script]).returncode == 0
    done = subprocess.run(["bash", script], capture_output=True, text=True)
    assert done.returncode != 0 and "usage: bash benchmarks/gpu.sh SHARDS" in done.stderr


BARE = """
import sys
for name in ("mlflow", "submitit", "webdataset", "matplotlib", "cv2", "sklearn", "pandas", "torchaudio", "torchvision"):
    sys.modules[name] = None
import benchmarks.gpu.machine, benchmarks.gpu.one_rank, benchmarks.gpu.training, benchmarks.gpu.step
import benchmarks.gpu.table, benchmarks.gpu.busy, benchmarks.kernels.__main__, launch.cluster.gpu_facts
from dual_hpc.training import build, loop, session
from dual_hpc.config import load_config
from dual_hpc.run.directory import RunDir
import deepspeed
print("ok")
"""


@pytest.mark.slow
def test_no_part_imports_what_a_bare_machine_lacks() -> None:
    done = subprocess.run([sys.executable, "-c", BARE], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0 and done.stdout.endswith("ok\n"), done.stderr
