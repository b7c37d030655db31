"""Dimensions beside the classes, in every family: the loss of a sample, the units, and what is learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dual_hpc.config.schema import ModelConfig
from dual_hpc.errors import UserError
from dual_hpc.evaluation.dimensions import concordance
from dual_hpc.model import build_model, load_model, save_model
from dual_hpc.model.dimensions import dimension_loss, in_units, scale_mistake
from dual_hpc.model.output import EmotionOutput
from tests.unit.model.conftest import COUNTS, ENCODERS, LABELS, PREPROCESSING

SCALES = {"valence": [3.0, 0.8], "dominance": [2.5, 0.5]}
FAMILIES = ("dual", "late_fusion", "early_fusion", "concat_gru", "mult", "mmin", "audio_only")


def model_of(family: str, scales: dict[str, list[float]] | None = None, encoders: str = "features") -> Any:
    torch.manual_seed(0)
    tree = {"hidden_size": 16, "residual_layers": 1, "decoder_layers": 1, "num_heads": 2, **ENCODERS[encoders]}
    config = ModelConfig.model_validate({**tree, "family": family})
    return build_model(config, LABELS, PREPROCESSING, COUNTS, None, dimensions=SCALES if scales is None else scales)


def targets(labels: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    return torch.cat([torch.nn.functional.one_hot(labels, 4).float(), values], dim=1)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_of_a_sample_does_not_know_its_batch_and_unknown_values_cost_nothing(
    family: str, make_batch: Any
) -> None:
    model, batch = model_of(family).eval(), make_batch()
    values = torch.tensor([[3.0, 2.0]] * 5 + [[1.0, float("nan")]] + [[float("nan")] * 2])
    batch["labels"] = targets(batch["labels"], values)
    with torch.no_grad():
        together = model(**batch)
        alone = [model(**{name: rows[row : row + 1] for name, rows in batch.items()}) for row in range(7)]
    torch.testing.assert_close(torch.stack([one.loss for one in alone]).mean(), together.loss)
    torch.testing.assert_close(torch.cat([one.dimensions for one in alone]), together.dimensions)
    assert together.logits.shape == (7, 4) and together.dimensions.shape == (7, 2)
    plain = {**batch, "labels": batch["labels"][:, :4].argmax(dim=1)}
    with torch.no_grad():
        assert model(**plain).loss < together.loss  # by the classes alone


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_without_dimensions_is_as_it_always_was(family: str, make_batch: Any) -> None:
    model = model_of(family, {}).eval()
    with torch.no_grad():
        assert model(**make_batch()).dimensions is None
    assert "dimensions" not in model.config.to_dict() and model.config.outputs == 4


def test_the_loss_is_what_concordance_lacks_when_answers_have_the_mean_and_the_variance_of_the_truth() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(3, 0.8, 4000)
    truth = 3 + 0.8 * (truth - truth.mean()) / truth.std()
    noise = truth + rng.normal(0, 0.7, 4000)
    answers = (noise - noise.mean()) / noise.std()
    loss = dimension_loss(torch.tensor(answers)[:, None], torch.tensor(truth)[:, None], {"valence": [3.0, 0.8]}).mean()
    assert float(loss) == pytest.approx(1 - concordance(truth, 3 + 0.8 * answers), abs=1e-6)


def test_gradients_are_those_of_known_values_alone() -> None:
    outputs = torch.zeros(2, 2, requires_grad=True)
    dimension_loss(outputs, torch.tensor([[3.8, float("nan")], [float("nan")] * 2]), SCALES).sum().backward()
    assert outputs.grad is not None and outputs.grad[0].tolist() == pytest.approx([-1, 0], abs=1e-5)
    assert outputs.grad[1].tolist() == [0, 0]
    assert in_units(torch.tensor([[1.0, -2.0]]), SCALES).tolist() == [pytest.approx([3.8, 1.5])]


def test_a_saved_model_answers_the_same_and_knows_its_scales(make_batch: Any, tmp_path: Path) -> None:
    model = model_of("late_fusion").eval()
    save_model(model, None, tmp_path)
    again, _ = load_model(tmp_path)
    with torch.no_grad():
        assert torch.equal(model(**make_batch()).dimensions, again(**make_batch()).dimensions)
    assert again.config.dimensions == SCALES


WRONG: list[Any] = [[], {}, {"joy": [0.0, 1.0]}, {"valence": [0.0]}, {"valence": [0.0, 0.0]}, {"valence": ["a", 1.0]}]


@pytest.mark.parametrize("scales", [*WRONG, {"valence": [float("nan"), 1.0]}, {"valence": [0.0, float("inf")]}])
def test_scales_that_no_training_wrote_are_refused(scales: Any) -> None:
    assert (scale_mistake(scales) or "").startswith("dimensions")


def test_a_family_without_outputs_for_them_is_refused(make_batch: Any) -> None:
    model = model_of("late_fusion")
    with pytest.raises(UserError, match=r"late_fusion: has no outputs for valence, dominance"):
        model.classification_loss(torch.zeros(2, 4), torch.zeros(2, 6))


@pytest.mark.parametrize("classes", [4, 1])
def test_planted_dimensions_are_learned(make_batch: Any, classes: int) -> None:
    """Valence and dominance are told by features; 200 steps of a linear head on them find it."""
    torch.manual_seed(1)
    tree = {"hidden_size": 16, **ENCODERS["features"], "dropout": 0.0, "family": "late_fusion"}
    config = ModelConfig.model_validate({**tree, "options": {"layers": 0}})
    names = LABELS[:classes]
    model = build_model(config, names, PREPROCESSING, COUNTS[:classes], None, dimensions=SCALES).float()

    def batch_of(seed: int) -> tuple[dict[str, Any], torch.Tensor]:
        batch = make_batch(("",) * 64, seed)
        planted = torch.randn(64, 2)
        batch["audio"] = batch["audio"] * 0.1
        batch["audio"][:, :, :2] += planted.half().unsqueeze(1)
        batch["audio"] *= (torch.arange(batch["audio"].shape[1]) < batch["audio_lengths"].unsqueeze(1)).unsqueeze(2)
        values = torch.stack([3 + 0.8 * planted[:, 0], 2.5 - 0.5 * planted[:, 1]], dim=1)
        one_hot = torch.nn.functional.one_hot(batch["labels"] % classes, classes).float()
        return {**batch, "labels": torch.cat([one_hot, values], dim=1)}, values

    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    trained, _ = batch_of(3)
    for _ in range(200):
        optimizer.zero_grad()
        model(**trained).loss.backward()
        optimizer.step()
    tested, values = batch_of(4)
    with torch.no_grad():
        found: EmotionOutput = model.eval()(**tested)
    assert found.dimensions is not None
    for wanted, answers in zip(values.T.numpy(), found.dimensions.T.numpy(), strict=True):
        assert concordance(wanted, answers) > 0.8
