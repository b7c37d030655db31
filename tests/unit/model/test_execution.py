"""Activations computed again, compiled encoders and channels last: the same numbers by other means."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from dual_hpc.config.schema import TrainingConfig
from dual_hpc.model.execution import prepare_execution, recomputed_modules

FAMILIES = ["light", "melcnn", "wav2vec2-vit-roberta", "hubert", "wavlm", "features"]
RESNET = {"model_type": "resnet", "embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
FROZEN = {"video": {"kind": "resnet", "config": RESNET, "trainable": "none"}}


def prepared(model: Any, device_type: str = "cpu", **training: Any) -> Any:
    prepare_execution(model, TrainingConfig.model_validate(training), device_type)
    return model


def trained(model: Any, batch: dict[str, Any]) -> tuple[dict[str, torch.Tensor], int]:
    """Gradients by name, and the bytes that the forward pass has kept for the backward pass."""
    kept = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    torch.manual_seed(7)  # of dropout
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = model.train()(**batch).loss
    loss.backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}, sum(kept.values())


@pytest.mark.parametrize("what", ["encoders", "all"])
@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_of_activations_computed_again_are_equal_bit_by_bit(
    family: str, what: str, make_model: Any, make_batch: Any
) -> None:
    batch = make_batch()
    plain, kept = trained(make_model(family), batch)
    again, kept_again = trained(prepared(make_model(family), activation_checkpointing=what), batch)
    assert plain.keys() == again.keys()
    assert [name for name in plain if not torch.equal(plain[name], again[name])] == []
    if family != "features" or what == "all":  # which have no layers
        assert kept_again < 0.95 * kept  # which counts weights and the front of a speech encoder too


def test_the_lower_frozen_layers_of_an_encoder_change_nothing(make_model: Any, make_batch: Any) -> None:
    batch = make_batch()
    settings = {"text": {"kind": "bert", "config": {"hidden_size": 16, "num_attention_heads": 2}, "trainable": 1}}
    plain, _ = trained(make_model(**settings), batch)
    again, _ = trained(prepared(make_model(**settings), activation_checkpointing="all"), batch)
    assert [name for name in plain if not torch.equal(plain[name], again[name])] == []


def test_names_of_weights_and_the_answers_without_gradients_stay(make_model: Any, make_batch: Any) -> None:
    plain, again = make_model(), prepared(make_model(), activation_checkpointing="all")
    assert plain.state_dict().keys() == again.state_dict().keys()
    with torch.no_grad():
        assert torch.equal(plain(**make_batch()).logits, again(**make_batch()).logits)


def test_no_module_is_computed_again_inside_another(make_model: Any) -> None:
    for family in FAMILIES:
        model = make_model(family)
        chosen = recomputed_modules(model, with_blocks=True)
        inside = {id(part) for module in chosen for part in module.modules() if part is not module}
        assert len({id(module) for module in chosen}) == len(chosen)
        assert not inside & {id(module) for module in chosen}


def test_a_frozen_encoder_keeps_nothing_and_is_left_alone(make_model: Any) -> None:
    model = make_model(**FROZEN)
    chosen = {id(module) for module in recomputed_modules(model, with_blocks=False)}
    assert chosen and not chosen & {id(module) for module in model.video_encoder.modules()}


@pytest.mark.parametrize(
    ("setting", "device_type", "wanted"),
    [("auto", "cpu", False), ("auto", "cuda", True), ("always", "cpu", True), ("never", "cuda", False)],
)
def test_pictures_are_convolved_channels_last_where_it_is_wanted(
    setting: str, device_type: str, wanted: bool, make_model: Any, make_batch: Any
) -> None:
    batch = make_batch(("", "", "v"))
    plain, found = make_model(**FROZEN), prepared(make_model(**FROZEN), device_type, channels_last=setting)
    layouts = []

    def look(_: nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        layouts.append(arguments[0].is_contiguous(memory_format=torch.channels_last))

    first = next(module for module in found.video_encoder.modules() if isinstance(module, nn.Conv2d))
    first.register_forward_pre_hook(look)
    with torch.no_grad():
        torch.testing.assert_close(found(**batch).logits, plain(**batch).logits, rtol=1e-4, atol=1e-5)
    assert layouts == [wanted]


def test_an_encoder_that_cannot_be_compiled_runs_as_it_is_and_says_so_once(
    make_model: Any, make_batch: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from torch._inductor.exc import InductorError

    def no_compiler(forward: Callable[..., Any], **_: Any) -> Callable[..., Any]:
        def fail(*arguments: Any, **options: Any) -> Any:
            raise InductorError(RuntimeError("Failed to find C compiler.\nPlease specify one"), None)

        return fail

    monkeypatch.setattr(torch, "compile", no_compiler)
    plain, found = make_model(**FROZEN), prepared(make_model(**FROZEN), compile="encoders")
    with torch.no_grad(), caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert torch.equal(found(**make_batch()).logits, plain(**make_batch()).logits)
    said = [record.getMessage() for record in caplog.records if "training.compile" in record.getMessage()]
    assert len(said) == 1 and "\n" not in said[0] and "C compiler" in said[0]


def test_a_fault_of_the_model_itself_is_no_reason_to_run_it_again(
    make_model: Any, make_batch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", lambda forward, **_: forward)
    model = prepared(make_model(**FROZEN), compile="encoders")
    monkeypatch.setattr(model.video_encoder, "mean", [1.0])
    with pytest.raises(RuntimeError), torch.no_grad():
        model(**make_batch())


@pytest.mark.slow
def test_a_compiled_encoder_gives_the_same_features(make_model: Any, make_batch: Any) -> None:
    plain, found = make_model(**FROZEN), prepared(make_model(**FROZEN), compile="encoders")
    with torch.no_grad():
        for missing in (("", "", "v"), ("", "a"), ("v", "", "t", "")):  # other numbers of pictures
            batch = make_batch(missing)
            torch.testing.assert_close(found(**batch).logits, plain(**batch).logits, rtol=1e-4, atol=1e-5)
    assert found.video_encoder.backbone.forward._compiled is not None
