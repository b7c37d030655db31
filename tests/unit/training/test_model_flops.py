"""The operations of a model are counted once, as it computes, and change nothing of what it computes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from dual_hpc.config.schema import TrainingConfig
from dual_hpc.run.journal import points, read
from dual_hpc.training.loop import FINISHED
from dual_hpc.training.model_flops import ModelFlops
from tests.unit.training.fakes import BATCH, CLASSES, make_run
from tests.unit.training.test_loop import Job


def gradients(flops: ModelFlops) -> list[torch.Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 4))
    with flops.counted(8):
        model(torch.randn(8, 16)).logsumexp(-1).sum().backward()
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


def test_forward_and_backward_of_a_sample_are_counted_and_the_bits_stay() -> None:
    flops = ModelFlops(1e12)
    counted, plain = gradients(flops), gradients(ModelFlops(None))
    assert all(torch.equal(one, other) for one, other in zip(counted, plain, strict=True))
    # Two operations per weight and sample: forward, gradient of the weights, and of the input but in the first layer.
    assert flops.per_sample == 2 * (2 * 16 * 32 + 3 * 32 * 4)
    flops.per_sample = 5.0
    gradients(flops)
    assert flops.per_sample == 5.0  # only once


def test_mfu_is_the_part_of_all_cards_peak() -> None:
    flops = ModelFlops(1e12)
    assert flops.mfu(100.0, 4) == {}
    flops.per_sample = 2e9
    assert flops.mfu(1000.0, 4) == {"mfu": pytest.approx(0.5)}


def test_on_a_processor_nothing_is_counted_or_said(tmp_path: Path) -> None:
    assert ModelFlops.of(TrainingConfig(), torch.device("cpu"), 0).mfu(1.0, 1) == {}
    run = make_run(tmp_path / "run")
    assert Job(run).train() == FINISHED
    assert "train/mfu" not in {point.key for point in points(read(run.journal))}


def test_where_the_peak_is_known_the_journal_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ModelFlops, "of", classmethod(lambda cls, *_: cls(1e9)))
    run = make_run(tmp_path / "run")
    assert Job(run).train() == FINISHED
    found = {point.key: point.value for point in points(read(run.journal)) if point.step == 6}
    per_sample = 2 * (2 * 1 * 4 + 3 * 4 * CLASSES)  # its two layers
    assert BATCH and found["train/mfu"] == pytest.approx(per_sample * found["train/samples_per_second"] / 1e9)


@pytest.mark.parametrize("rank", [0, 1])
def test_one_rank_counts_and_compiled_encoders_are_left_alone(monkeypatch: pytest.MonkeyPatch, rank: int) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA A100-SXM4-80GB")
    device = torch.device("cuda", 0)
    for compile_mode in ("none", "encoders"):
        flops = ModelFlops.of(TrainingConfig(compile=compile_mode), device, rank)
        flops.per_sample = 1.0
        assert bool(flops.mfu(1.0, 1)) == (rank == 0 and compile_mode == "none")
