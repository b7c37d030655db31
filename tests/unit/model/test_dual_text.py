"""Text refines; it cannot reach the bottleneck."""

from __future__ import annotations

from typing import Any

import torch


def test_text_cannot_reach_the_bottleneck(make_model: Any, make_batch: Any) -> None:
    model, batch = make_model(), make_batch(("", "a", "v"))
    other = {**batch, "input_ids": batch["input_ids"].flip(0), "attention_mask": batch["attention_mask"].flip(0)}
    with torch.no_grad():
        one, two = model(**batch), model(**other)
    assert torch.equal(one.bottleneck, two.bottleneck)
    assert not torch.equal(one.logits, two.logits)


def test_no_gradient_flows_from_the_bottleneck_to_text(make_model: Any, make_batch: Any) -> None:
    model = make_model()
    model(**make_batch()).bottleneck.square().sum().backward()
    touched = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}
    assert not touched & {"text_encoder", "memory", "decoder"}
    assert {"audio_encoder", "video_encoder", "sdm", "residual"} <= touched


def test_absent_empty_and_zero_width_text_are_the_same(make_model: Any, make_batch: Any) -> None:
    model, batch = make_model(), make_batch(("", ""))
    masked = {**batch, "attention_mask": torch.zeros_like(batch["attention_mask"])}
    no_columns = torch.zeros(2, 0, dtype=torch.long)
    with torch.no_grad():
        one = model(**masked).logits
        two = model(**{**batch, "input_ids": no_columns, "attention_mask": no_columns}).logits
    torch.testing.assert_close(one, two)
    assert not torch.allclose(one, model(**batch).logits)
