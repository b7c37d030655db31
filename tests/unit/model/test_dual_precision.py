"""An engine may cast all parameters and buffers to 16 bits: masks, spectra and losses stay in fp32."""

from __future__ import annotations

from typing import Any

import pytest
import torch


@pytest.mark.parametrize("family", ["light", "melcnn", "wav2vec2-vit-roberta", "hubert", "wavlm", "features"])
def test_a_model_cast_to_bf16_trains_and_stays_near_fp32(family: str, make_model: Any, make_batch: Any) -> None:
    model, batch = make_model(family), make_batch()
    with torch.no_grad():
        exact = model(**batch)
    cast = make_model(family).to(torch.bfloat16)
    output = cast(**batch)
    assert output.loss.dtype == output.logits.dtype == torch.float32
    assert output.bottleneck.dtype == torch.bfloat16
    torch.testing.assert_close(output.logits, exact.logits, atol=0.1, rtol=0.1)
    torch.testing.assert_close(output.loss, exact.loss, atol=0.1, rtol=0.1)
    output.loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in cast.parameters())


@pytest.mark.parametrize("family", ["light", "melcnn", "features"])
def test_a_model_cast_to_fp16_stays_finite(family: str, make_model: Any, make_batch: Any) -> None:
    model = make_model(family).to(torch.float16)
    output = model(**make_batch())
    (output.loss * 64).backward()
    assert output.logits.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("family", ["wav2vec2-vit-roberta", "features"])
def test_autocast_gives_a_finite_fp32_loss(family: str, make_model: Any, make_batch: Any) -> None:
    model = make_model(family)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(**make_batch())
    output.loss.backward()
    assert output.loss.dtype == torch.float32
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_the_spectrogram_does_not_change_when_the_model_is_cast(make_model: Any, make_batch: Any) -> None:
    model, batch = make_model(), make_batch()
    arguments = (batch["waveform"], batch["waveform_lengths"])
    exact = model.audio_encoder.spectrogram(*arguments)
    assert torch.equal(exact, model.to(torch.bfloat16).audio_encoder.spectrogram(*arguments))
