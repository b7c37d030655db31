"""Outputs at valid steps depend on the sample and on nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import torch

FAMILIES = ["light", "melcnn", "wav2vec2-vit-roberta", "hubert", "wavlm", "features"]


def rows(batch: dict[str, Any], order: list[int]) -> dict[str, Any]:
    return {name: value[order] for name, value in batch.items()}


def trimmed(batch: dict[str, Any]) -> dict[str, Any]:
    """Without the padding that the longest sample of another batch left behind."""
    audio, video = int(batch["waveform_lengths"].max()), int(batch["frame_lengths"].max())
    text = int(batch["attention_mask"].sum(1).max())
    features = {name: batch[name][:, : int(batch[f"{name}_lengths"].max())] for name in ("audio", "video", "text")}
    return {
        **batch,
        **features,
        "waveform": batch["waveform"][:, :audio],
        "frames": batch["frames"][:, :video],
        "input_ids": batch["input_ids"][:, :text],
        "attention_mask": batch["attention_mask"][:, :text],
    }


def assert_same_sample(one: Any, row: int, other: Any, other_row: int) -> None:
    torch.testing.assert_close(one.logits[row], other.logits[other_row], atol=2e-5, rtol=1e-4)
    steps = int(one.mask[row].sum())
    assert steps == int(other.mask[other_row].sum())
    torch.testing.assert_close(one.bottleneck[row, :steps], other.bottleneck[other_row, :steps], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_sample_alone_gives_what_it_gives_in_a_batch(family: str, make_model: Any, make_batch: Any) -> None:
    model, batch = make_model(family), make_batch()
    with torch.no_grad():
        together = model(**batch)
        for row in range(len(batch["labels"])):
            assert_same_sample(model(**trimmed(rows(batch, [row]))), 0, together, row)


@pytest.mark.parametrize("family", FAMILIES)
def test_garbage_in_masked_positions_changes_nothing(family: str, make_model: Any, make_batch: Any) -> None:
    model, batch = make_model(family), make_batch()
    dirty = {name: value.clone() for name, value in batch.items()}
    for row, length in enumerate(batch["waveform_lengths"].tolist()):
        dirty["waveform"][row, length:] = float("nan")
    for row, length in enumerate(batch["frame_lengths"].tolist()):
        dirty["frames"][row, length:] = 255
    for name in ("audio", "video", "text"):
        for row, length in enumerate(batch[f"{name}_lengths"].tolist()):
            dirty[name][row, length:] = float("nan")
    dirty["input_ids"][batch["attention_mask"] == 0] = 10**6
    clean_out, dirty_out = model(**batch), model(**dirty)
    assert torch.equal(clean_out.logits, dirty_out.logits)
    assert torch.equal(clean_out.bottleneck, dirty_out.bottleneck)
    dirty_out.loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_the_neighbours_do_not_matter_even_if_they_are_wild(family: str, make_model: Any, make_batch: Any) -> None:
    model, batch = make_model(family), make_batch()
    other = {name: value.clone() for name, value in batch.items()}
    other["waveform"][1:] *= 1_000
    other["frames"][1:] = 255 - other["frames"][1:]
    for name in ("audio", "video", "text"):
        other[name][1:] *= 1_000
    with torch.no_grad():
        assert_same_sample(model(**batch), 0, model(**other), 0)


def test_permuting_the_batch_permutes_the_outputs(make_model: Any, make_batch: Any) -> None:
    model, batch = make_model(), make_batch()
    order = [3, 0, 6, 2, 5, 1, 4]
    with torch.no_grad():
        straight, permuted = model(**batch, output_alignment=True), model(**rows(batch, order), output_alignment=True)
    for name in ("logits", "bottleneck", "mask", "alignment_static", "alignment_dynamic"):
        torch.testing.assert_close(getattr(straight, name)[order], getattr(permuted, name), atol=1e-5, rtol=1e-4)


def test_the_bottleneck_is_zero_beyond_a_sample_s_length(make_model: Any, make_batch: Any) -> None:
    output = make_model()(**make_batch())
    assert not output.bottleneck[~output.mask].any()
    assert output.bottleneck[output.mask].abs().sum(-1).gt(0).all()


@pytest.mark.parametrize("loss", ["cross_entropy", "focal", "logit_adjustment"])
def test_the_loss_of_a_batch_is_the_mean_over_any_equal_cut(loss: str, make_model: Any, make_batch: Any) -> None:
    model, batch = make_model(loss=loss), make_batch(("", "a", "t", "v", "", "avt"))
    batch["labels"][2] = -100
    with torch.no_grad():
        whole = model(**batch)
        parts = [model(**trimmed(rows(batch, [row, row + 1]))) for row in (0, 2, 4)]
    for term in ("loss", "loss_cls", "loss_static", "loss_dynamic"):
        mean = torch.stack([getattr(part, term) for part in parts]).mean()
        torch.testing.assert_close(getattr(whole, term), mean, atol=1e-5, rtol=1e-4)
