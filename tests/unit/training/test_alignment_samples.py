"""Once per epoch a few validation samples show how alike their sound and pictures are."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from dual_hpc.config.schema import ModelConfig
from dual_hpc.model import build_model
from dual_hpc.model.family import FAMILIES
from dual_hpc.run.alignment import MOST_STEPS, read_alignment
from dual_hpc.run.names import ALIGNMENT
from dual_hpc.training.alignment_samples import SAMPLES, AlignmentSamples, matrices_of
from dual_hpc.training.loop import FINISHED
from tests.unit.conftest import LABELS, PREPROCESSING
from tests.unit.training.fakes import World, batch, make_run
from tests.unit.training.test_loop import Job

NAMES = FAMILIES.get("dual").matrices


def test_a_training_writes_those_of_its_first_validation_samples_once_per_epoch(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "training.validate_every=1")
    assert Job(run).train() == FINISHED
    found = read_alignment(run.path)
    assert [(one.step, one.key) for one in found] == [
        (step, key) for step in (1, 3, 6) for key in batch(100)["keys"][:SAMPLES]
    ]
    assert found[0].matrices == {"static": [[1, 0], [0, 1]], "dynamic": [[1, 0], [0, 1]]}


def test_a_job_that_goes_on_repeats_no_epoch(tmp_path: Path) -> None:
    world: Any = World()
    for epoch in (1.0, 1.5, 2.0, 2.0):  # a job each
        samples = AlignmentSamples(tmp_path, FAMILIES.get("dual"), world)
        samples.see(batch(100))
        samples.write(make_model(), int(2 * epoch), epoch)
    assert [one.epoch for one in read_alignment(tmp_path)] == [1.0] * SAMPLES + [2.0] * SAMPLES


def make_model() -> Any:
    from tests.unit.training.fakes import Network

    return Network()


def test_a_model_without_such_matrices_is_not_asked(tmp_path: Path) -> None:
    world: Any = World()
    samples = AlignmentSamples(tmp_path, FAMILIES.get("late_fusion"), world)
    samples.see(batch(100))
    samples.write(torch.nn.Identity(), 3, 1.0)
    assert not (tmp_path / ALIGNMENT).exists()


def test_a_file_that_cannot_be_written_costs_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world: Any = World()
    (tmp_path / ALIGNMENT).mkdir()
    samples = AlignmentSamples(tmp_path, FAMILIES.get("dual"), world)
    samples.see(batch(100))
    samples.write(make_model(), 3, 1.0)
    assert "WARNING: no alignment matrices of step 3" in capsys.readouterr().err


def test_what_is_torn_or_no_square_is_left_out(tmp_path: Path) -> None:
    line = '{"step": 1, "epoch": 1, "key": "a", "seconds": 1, "matrices": {"static": [[1, 0]]}}'
    (tmp_path / ALIGNMENT).write_text(f"{line}\n{line.replace('[[1, 0]]', '[[0.5]]')}\n{line[:30]}")
    assert [one.matrices for one in read_alignment(tmp_path)] == [{"static": [[0.5]]}]


def test_the_matrices_of_dual_are_those_of_the_valid_steps_and_a_long_sample_is_thinned() -> None:
    steps = 3 * MOST_STEPS
    lengths = torch.tensor([2, steps, 5, 4])
    matrix = torch.rand(4, steps, steps) + 0.1
    matrix[2] = 0  # has no video
    output = SimpleNamespace(
        mask=torch.arange(steps) < lengths[:, None], alignment_static=matrix, alignment_dynamic=matrix
    )
    shown = {"keys": list("abcd"), "valid": torch.tensor([True, True, True, False]), "durations": lengths / 10}
    found = matrices_of(output, NAMES, shown, 7, 1.5)
    assert [(one.key, len(one.matrices["static"])) for one in found] == [("a", 2), ("b", MOST_STEPS)]
    assert found[1].matrices["dynamic"][1][2] == pytest.approx(float(matrix[1, 3, 6]), abs=6e-4)


def test_dual_gives_them(tmp_path: Path) -> None:
    config = ModelConfig(hidden_size=16, num_heads=2, use_text=False)
    model = build_model(config, LABELS, PREPROCESSING, None, None)
    durations = torch.tensor([1.0, 0.6])
    shown = {
        "keys": ["a", "b"],
        "valid": torch.ones(2, dtype=torch.bool),
        "labels": torch.zeros(2, dtype=torch.long),
        "durations": durations,
        "waveform": torch.randn(2, 16000),
        "waveform_lengths": torch.tensor([16000, 9600]),
        "frames": torch.randint(0, 255, (2, 5, 3, 32, 32), dtype=torch.uint8),
        "frame_lengths": torch.tensor([5, 3]),
    }
    world: Any = World()
    samples = AlignmentSamples(tmp_path, FAMILIES.get("dual"), world)
    samples.see(shown)
    samples.write(model, 3, 1.0)
    found = read_alignment(tmp_path)
    assert [(one.key, len(one.matrices["static"]), len(one.matrices["dynamic"])) for one in found] == [
        ("a", 10, 10),
        ("b", 6, 6),
    ]
    assert model.training
