"""Each part can be switched off; shapes stay, and no parameter is left outside the graph."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dual_hpc.errors import UserError

SWITCHES = [
    "use_sdm",
    "use_vdm",
    "use_residual",
    "use_static_alignment",
    "use_dynamic_alignment",
    "use_audio",
    "use_video",
    "use_text",
]


@pytest.mark.parametrize("family", ["light", "features"])
@pytest.mark.parametrize("switch", SWITCHES)
def test_a_part_switched_off_keeps_the_shapes_and_the_graph_whole(
    switch: str, family: str, make_model: Any, make_batch: Any
) -> None:
    full, model, batch = make_model(family), make_model(family, **{switch: False}), make_batch()
    output, expected = model(**batch, output_alignment=True), full(**batch, output_alignment=True)
    assert {k: v.shape for k, v in output.items()} == {k: v.shape for k, v in expected.items()}
    assert not torch.equal(output.loss, expected.loss)
    output.loss.backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_without_sdm_and_vdm_nothing_changes_over_time(make_model: Any, make_batch: Any) -> None:
    model = make_model(use_sdm=False, use_vdm=False)
    x = torch.randn(2, 5, 16)
    lengths = torch.tensor([5, 3])
    for module in (model.sdm, model.vdm):
        delta, pair = module(x, lengths)
        assert not delta.any()
        assert pair.shape == (2, 5, 32) and not pair[1, 3:].any()


def test_an_alignment_loss_switched_off_is_zero(make_model: Any, make_batch: Any) -> None:
    output = make_model(use_static_alignment=False)(**make_batch())
    assert output.loss_static == 0 and output.loss_dynamic > 0
    output = make_model(use_video=False)(**make_batch())
    assert output.loss_static == 0 and output.loss_dynamic == 0


def test_a_modality_switched_off_cannot_be_heard(make_model: Any, make_batch: Any) -> None:
    batch = make_batch(("", ""))
    for switch, name in (("use_audio", "waveform"), ("use_video", "frames"), ("use_text", "input_ids")):
        model = make_model(**{switch: False})
        with torch.no_grad():
            logits = model(**batch).logits
            assert torch.equal(logits, model(**{**batch, name: torch.zeros_like(batch[name])}).logits)


def test_nothing_left_to_look_at_is_an_error(make_model: Any) -> None:
    with pytest.raises(UserError, match="use_audio"):
        make_model(use_audio=False, use_video=False, use_text=False)


def test_the_total_is_the_weighted_sum_of_the_terms(make_model: Any, make_batch: Any) -> None:
    output = make_model(lambda_static=0.3, lambda_dynamic=0.7)(**make_batch())
    torch.testing.assert_close(output.loss, output.loss_cls + 0.3 * output.loss_static + 0.7 * output.loss_dynamic)


def test_losses_on_one_modality_add_to_the_total_and_change_no_answer(make_model: Any, make_batch: Any) -> None:
    model, batch = make_model(lambda_unimodal=0.5), make_batch()
    output, plain = model(**batch), make_model()(**batch)
    assert torch.equal(output.logits, plain.logits) and plain.loss_unimodal is None
    torch.testing.assert_close(output.loss, plain.loss + 0.5 * output.loss_unimodal)
    assert set(model.state_dict()) - set(make_model().state_dict()) == {
        f"unimodal.{name}.{part}" for name in ("audio", "video") for part in ("weight", "bias")
    }


def test_a_loss_on_one_modality_counts_the_samples_that_have_it(make_model: Any, make_batch: Any) -> None:
    model = make_model(lambda_unimodal=1.0)
    assert model(**make_batch(("av", "avt"))).loss_unimodal == 0
    both, without_sound = make_batch(("", "")), make_batch(("", ""))
    for name in ("waveform_lengths", "audio_lengths"):
        without_sound[name][1] = 0
    one, other = (model(**batch).loss_unimodal.item() for batch in (both, without_sound))
    assert 0 < other < one
    batch = make_batch(("t",))
    batch["labels"][:] = -100
    assert model(**batch).loss_unimodal == 0


@pytest.mark.parametrize("off", [("audio",), ("video",), ("audio", "video")])
def test_a_modality_that_is_off_has_no_loss_of_its_own(make_model: Any, make_batch: Any, off: tuple[str, ...]) -> None:
    model = make_model(lambda_unimodal=1.0, **{f"use_{name}": False for name in off})
    assert set(model.unimodal) == {"audio", "video"} - set(off)
    output = model(**make_batch(("", "")))
    assert (output.loss_unimodal is None) == (len(off) == 2)
    output.loss.backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_answers_of_single_modalities_are_added_where_the_sample_has_them(make_model: Any, make_batch: Any) -> None:
    model, batch = make_model(unimodal_logits=True), make_batch()
    with torch.no_grad():
        found = model(**batch)
        for name in ("audio", "video"):
            model.unimodal[name].weight.zero_()
            model.unimodal[name].bias.fill_({"audio": 1.0, "video": 10.0}[name])
        told = model(**batch)
        for head in model.unimodal.values():
            head.bias.zero_()
        decoded = model(**batch)
    has = [batch[name] > 0 for name in ("waveform_lengths", "frame_lengths")]
    assert all(set(one.tolist()) == {True, False} for one in has)
    torch.testing.assert_close(told.logits - decoded.logits, (has[0] + 10.0 * has[1])[:, None].expand(-1, 4))
    assert found.loss_unimodal is None and not torch.equal(found.logits, decoded.logits)
    assert torch.equal(decoded.logits, make_model()(**batch).logits)


def test_negatives_from_the_whole_batch_raise_the_alignment_loss(make_model: Any, make_batch: Any) -> None:
    batch = make_batch(("", ""))
    with torch.no_grad():
        within, across = make_model()(**batch), make_model(align_across_batch=True)(**batch)
    assert across.loss_static > within.loss_static


def test_without_labels_there_is_no_loss(make_model: Any, make_batch: Any) -> None:
    batch = make_batch()
    del batch["labels"]
    output = make_model()(**batch)
    assert output.loss is None and output.logits.shape == (7, 4)
