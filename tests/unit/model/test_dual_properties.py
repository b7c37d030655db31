"""For any sample: its answer in fp64 knows neither padding nor neighbours, and its bottleneck knows no text."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# Spectra and time grids are computed in fp32 also of an fp64 model.
CLOSE: dict[str, Any] = {"atol": 1e-6, "rtol": 1e-6}
CONTENT = ("waveform", "frames", "input_ids", "attention_mask", "audio", "video", "text")
samples = st.tuples(st.floats(0, 1.5), *[st.booleans()] * 3, st.integers(0, 2**31))


def sample(drawn: tuple[float, bool, bool, bool, int]) -> dict[str, torch.Tensor]:
    """A batch of one, without any padding: seconds, which modalities it has, a seed."""
    seconds, *has, seed = drawn
    random = torch.Generator().manual_seed(seed)
    n, f, w = (max(1, round(seconds * rate)) * on for rate, on in zip((16_000, 5, 6), has, strict=True))
    heard = -(-n // 320)
    batch = {
        "durations": torch.tensor([seconds], dtype=torch.float32),
        "waveform": torch.randn(1, n, generator=random) * 0.1,
        "waveform_lengths": torch.tensor([n]),
        "frames": torch.randint(0, 256, (1, f, 3, 32, 32), generator=random, dtype=torch.uint8),
        "frame_lengths": torch.tensor([f]),
        "input_ids": torch.randint(4, 9, (1, w), generator=random),
        "attention_mask": torch.ones(1, w, dtype=torch.long),
    }
    for name, length, width in (("audio", heard, 6), ("video", f, 10), ("text", w, 8)):
        batch |= {name: torch.randn(1, length, width, generator=random), f"{name}_lengths": torch.tensor([length])}
    return batch


def together(batches: list[dict[str, torch.Tensor]], extra: int) -> dict[str, torch.Tensor]:
    """One batch, padded with zeros up to `extra` steps beyond the longest (an encoder reads only so many tokens)."""
    joined = {}
    for name in batches[0]:
        values = [batch[name] for batch in batches]
        if name in CONTENT:
            size = max(value.shape[1] for value in values) + (extra if name == "waveform" else min(extra, 6))
            values = [torch.cat([v, v.new_zeros(1, size - v.shape[1], *v.shape[2:])], dim=1) for v in values]
        joined[name] = torch.cat(values)
    return joined


@pytest.fixture(scope="module")
def models(make_model: Any) -> dict[str, Any]:
    return {family: make_model(family).double() for family in ("light", "wav2vec2-vit-roberta", "features")}


@pytest.mark.parametrize("family", ["light", "wav2vec2-vit-roberta", "features"])
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.lists(samples, min_size=1, max_size=4), extra=st.integers(0, 700))
def test_padding_and_neighbours_change_nothing(models: Any, family: str, drawn: list[Any], extra: int) -> None:
    model, alone = models[family], [sample(one) for one in drawn]
    with torch.no_grad():
        batch = model(**together(alone, extra))
        for row, one in enumerate(alone):
            single = model(**one)
            steps = single.mask.shape[1]
            assert int(batch.mask[row].sum()) == steps
            torch.testing.assert_close(batch.logits[row], single.logits[0], **CLOSE)
            torch.testing.assert_close(batch.bottleneck[row, :steps], single.bottleneck[0], **CLOSE)


@pytest.mark.parametrize("family", ["light", "features"])
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=samples, words=st.integers(0, 12), seed=st.integers(0, 2**31))
def test_any_other_text_leaves_the_bottleneck_bit_for_bit(
    models: Any, family: str, drawn: Any, words: int, seed: int
) -> None:
    model, batch = models[family], sample(drawn)
    random = torch.Generator().manual_seed(seed)
    other = {
        **batch,
        "input_ids": torch.randint(0, 9, (1, words), generator=random),
        "attention_mask": torch.ones(1, words, dtype=torch.long),
        "text": torch.randn(1, words, 8, generator=random) * 100,
        "text_lengths": torch.tensor([words]),
    }
    with torch.no_grad():
        one, two = (model(**each, labels=torch.tensor([1]), output_alignment=True) for each in (batch, other))
    for name in ("bottleneck", "mask", "loss_static", "loss_dynamic", "alignment_static", "alignment_dynamic"):
        assert torch.equal(getattr(one, name), getattr(two, name)), name
