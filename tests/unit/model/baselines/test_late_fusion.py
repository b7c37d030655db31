"""Late fusion: one answer per sample, from those modalities that it has, whatever else is in the batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from dual_hpc.model import load_model, save_model
from dual_hpc.model.baselines.late_fusion import LateFusion, mean_over_steps

ROWS = ("waveform", "frames", "input_ids", "attention_mask")


@pytest.fixture(params=["light", "features"])
def model(request: pytest.FixtureRequest, make_model: Any) -> Any:
    return make_model(request.param, family="late_fusion", options={"layers": 0})


def test_the_loss_and_the_answer_of_a_sample_do_not_know_its_batch(model: Any, make_batch: Any) -> None:
    batch = make_batch()
    with torch.no_grad():
        together = model(**batch)
        alone = [model(**{name: values[row : row + 1] for name, values in batch.items()}) for row in range(7)]
    torch.testing.assert_close(torch.cat([one.logits for one in alone]), together.logits)
    torch.testing.assert_close(torch.stack([one.loss for one in alone]).mean(), together.loss)


def test_neither_more_padding_nor_garbage_in_it_changes_an_answer(model: Any, make_batch: Any) -> None:
    batch = make_batch()
    longer = dict(batch)
    for name, steps in (("waveform", 3_201), ("frames", 4), ("input_ids", 3), ("audio", 5), ("video", 2), ("text", 4)):
        shape = (7, steps, *batch[name].shape[2:])
        garbage = torch.full(shape, 7, dtype=batch[name].dtype)
        if garbage.is_floating_point():
            garbage[:] = float("nan")
        longer[name] = torch.cat([batch[name], garbage], dim=1)
    longer["attention_mask"] = torch.nn.functional.pad(batch["attention_mask"], (0, 3))
    with torch.no_grad():
        torch.testing.assert_close(model(**longer).logits, model(**batch).logits, atol=1e-5, rtol=1e-4)


def test_logits_are_the_mean_over_the_modalities_that_a_sample_has(model: Any, make_batch: Any) -> None:
    missing = ("", "a", "v", "t", "vt", "at", "av", "avt")
    with torch.no_grad():
        answers = model(**make_batch(missing)).logits
        found = model.encode(make_batch(missing))
        single = {name[0]: model.heads[name](mean_over_steps(*found[name])) for name in ("audio", "video", "text")}
    for row, lacks in enumerate(missing):
        has = [single[letter][row] for letter in "avt" if letter not in lacks]
        expected = torch.stack(has).mean(0) if has else torch.zeros(4)
        torch.testing.assert_close(answers[row], expected)


def test_every_parameter_has_a_finite_gradient_even_if_no_sample_has_its_modality(
    make_model: Any, make_batch: Any
) -> None:
    for missing in (("", "a"), ("a", "a"), ("avt", "avt")):
        model = make_model(family="late_fusion").train()
        model(**make_batch(missing)).loss.backward()
        gradients = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
        assert all(grad is not None and grad.isfinite().all() for grad in gradients.values())


def test_a_saved_model_gives_bitwise_the_same(model: Any, make_batch: Any, tokenizer: Any, tmp_path: Path) -> None:
    save_model(model, tokenizer if model.config.reads_words else None, tmp_path)
    again, words = load_model(tmp_path)
    batch = make_batch()
    with torch.no_grad():
        assert torch.equal(model(**batch).logits, again(**batch).logits)
    assert type(again) is LateFusion and (words is not None) == model.config.reads_words
    assert again.config.audio == model.config.audio and again.config.labels == model.config.labels


def test_a_modality_that_is_off_has_no_encoder_and_no_head(make_model: Any, make_batch: Any) -> None:
    model = make_model(family="late_fusion", use_video=False)
    assert model.video_encoder is None and set(model.heads) == {"audio", "text"} and model.config.modalities == "at"
    assert model(**make_batch()).logits.isfinite().all()
