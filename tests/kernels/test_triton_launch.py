"""How kernels are started, seen without a GPU: which grids, on which device, and what is said where it cannot be."""

from __future__ import annotations

from typing import Any

import pytest
import torch

pytest.importorskip("triton")
from triton.runtime.errors import OutOfResources

from dual_hpc.errors import UserError
from dual_hpc.kernels.alignment_loss import triton_alignment
from dual_hpc.kernels.alignment_loss.operation import alignment_loss
from dual_hpc.kernels.sdm import triton_engine, triton_exchange, triton_resident
from dual_hpc.kernels.sdm.operation import sdm
from dual_hpc.kernels.vdm import triton_vdm
from dual_hpc.kernels.vdm.operation import vdm_concat_norm

SECOND_AND_THIRD = 65_535  # the most programs that CUDA takes along these axes of a grid


class Recorder:
    """Stands in for a kernel and for the guard of its device: notes grids, and whether the guard was on."""

    def __init__(self) -> None:
        self.grids, self.guarded, self.options, self.on = [], [], [], False

    def __getitem__(self, grid: Any) -> Any:
        def start(*arguments: Any, **options: Any) -> None:
            self.grids.append(grid)
            self.guarded.append(self.on)
            self.options.append(options)

        return start

    def device_of(self, tensor: Any) -> Any:
        assert isinstance(tensor, torch.Tensor)
        return self

    def __enter__(self) -> None:
        self.on = True

    def __exit__(self, *error: Any) -> None:
        self.on = False


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Any:
    recorder = Recorder()
    for module in (triton_resident, triton_exchange, triton_vdm):
        monkeypatch.setattr(module, "forward_kernel", recorder)
        monkeypatch.setattr(module, "backward_kernel", recorder)
    monkeypatch.setattr(triton_alignment, "lse_kernel", recorder)
    monkeypatch.setattr(triton_alignment, "gradient_kernel", recorder)
    monkeypatch.setattr(torch.cuda, "device_of", recorder.device_of)
    return recorder


def run_everything(batch: Any, hidden: int = 1) -> None:
    x = torch.zeros(batch, 1, 1, requires_grad=True)
    lengths = torch.ones(batch, dtype=torch.int64)
    weights = torch.zeros(4 * hidden, 1), torch.zeros(4 * hidden, 1), torch.zeros(4 * hidden, hidden)
    outputs = [
        sdm(x, *weights, torch.zeros(4 * hidden), lengths, implementation="triton")[0],
        vdm_concat_norm(x, lengths, torch.ones(2), torch.zeros(2), implementation="triton"),
        alignment_loss(x, x, lengths, 1.0, implementation="triton"),
    ]
    sum(out.sum() for out in outputs).backward()


def test_every_kernel_starts_on_the_device_of_its_tensors(started: Any) -> None:
    run_everything(batch=2)
    assert len(started.guarded) == 2 + 2 + 2 * 2
    assert all(started.guarded)
    assert not started.on


def test_no_grid_is_larger_than_cuda_takes_however_large_the_batch(started: Any) -> None:
    run_everything(batch=70_000)
    assert len(started.grids) == 8
    for grid in started.grids:
        assert all(size <= SECOND_AND_THIRD for size in grid[1:])


@pytest.mark.parametrize("processors", [5, 132])
def test_programs_that_wait_for_each_other_are_never_more_than_the_device_holds(
    started: Any, monkeypatch: pytest.MonkeyPatch, processors: int
) -> None:
    properties = type("Properties", (), {"multi_processor_count": processors})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(triton_engine, "interpreting", lambda: False)
    x, lengths = torch.zeros(1000, 1, 1, requires_grad=True), torch.ones(1000, dtype=torch.int64)
    weights = [torch.zeros(1024, 1), torch.zeros(1024, 1), torch.zeros(1024, 256), torch.zeros(1024)]
    x, weights = x.bfloat16(), [w.bfloat16() for w in weights]
    sdm(x, *weights, lengths, implementation="triton")[0].sum().backward()
    parts = triton_engine.plan(256, 2, False, 90).parts
    for grid, options in zip(started.grids, started.options, strict=True):
        assert grid[0] == parts
        assert grid[0] * grid[1] <= processors
        assert options["launch_cooperative_grid"]
    assert sum(grid[1] for grid in started.grids) == 2 * -(-1000 // triton_engine.ROWS)


def test_a_device_with_too_few_processors_is_an_error_in_one_line(
    started: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    properties = type("Properties", (), {"multi_processor_count": 3})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(triton_engine, "interpreting", lambda: False)
    weights = [w.bfloat16() for w in (torch.zeros(1024, 1), torch.zeros(1024, 1), torch.zeros(1024, 256))]
    with pytest.raises(
        UserError, match=r"H=256 needs 4 multiprocessors at once, this device has 3; set model\.kernels"
    ):
        sdm(torch.zeros(2, 1, 1).bfloat16(), *weights, torch.zeros(1024).bfloat16(), implementation="triton")


def test_too_little_shared_memory_is_an_error_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Small:
        __name__ = "forward_kernel"

        def __getitem__(self, grid: Any) -> None:
            raise OutOfResources(139_264, 101_376, "shared memory")

    monkeypatch.setattr(triton_vdm, "forward_kernel", Small())
    with pytest.raises(UserError, match=r"needs 139264 of shared memory, this GPU has 101376; set model\.kernels"):
        run_everything(batch=2)
