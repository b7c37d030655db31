"""LoRA: nothing changes at first, little is trained, and the numbers are peft's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from dual_hpc.errors import UserError
from dual_hpc.model import load_model, save_model
from dual_hpc.model.encoders.lora import LoraLinear, lora_parameters
from tests.unit.model.encoders.test_kinds import ALL, features, inputs, make, written

CASES = [("audio", "wav2vec2"), ("audio", "wavlm"), ("audio", "whisper"), ("audio", "wav2vec2-bert"), ("video", "clip")]
CASES += [("video", "videomae"), ("text", "roberta"), ("text", "deberta-v2"), ("text", "qwen3"), ("text", "modernbert")]
CASES += [("text", "gpt2")]
WITHOUT = ("convnext", "convnextv2", "dinov3_convnext", "regnet", "efficientnet")  # no attention: name the layers


@pytest.mark.parametrize(("modality", "kind"), CASES)
def test_it_begins_as_the_pretrained_encoder_and_only_its_own_weights_learn(
    modality: str, kind: str, tokenizer: Any, tmp_path: Path
) -> None:
    written(modality, kind, tmp_path / "weights", tokenizer)
    path = str(tmp_path / "weights")
    plain = getattr(make(modality, tokenizer, kind=kind, path=path), f"{modality}_encoder")
    model = make(modality, tokenizer, kind=kind, path=path, trainable="lora", layers="mix", lora={"rank": 2})
    encoder = getattr(model, f"{modality}_encoder")
    content, validity = inputs(modality)
    learned = {name for name, p in encoder.named_parameters() if p.requires_grad}
    assert learned and all(name.endswith((".down", ".up", "mix.scores")) for name in learned)
    encoder.mix = None
    with torch.no_grad():
        before = features(encoder, modality, content, validity)[0]
        assert torch.equal(before, features(plain, modality, content, validity)[0])
        for parameter in lora_parameters(encoder):
            parameter.normal_(std=0.1)
        after = features(encoder, modality, content, validity)[0]
    assert not torch.allclose(after, before, atol=1e-3)
    after = features(encoder, modality, content, validity)[0]
    after.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in lora_parameters(encoder))


@pytest.mark.parametrize(("modality", "kind"), ALL)
def test_every_kind_with_attention_has_the_usual_layers(modality: str, kind: str, tokenizer: Any) -> None:
    if kind in WITHOUT:
        with pytest.raises(UserError, match=rf"^model\.{modality}\.lora\.targets: no linear layer's name ends in"):
            make(modality, tokenizer, kind=kind, trainable="lora")
        return
    model = make(modality, tokenizer, kind=kind, trainable="lora", lora={"rank": 1})
    encoder = getattr(model, f"{modality}_encoder")
    assert 0 < sum(p.numel() for p in lora_parameters(encoder)) < 0.05 * sum(p.numel() for p in encoder.parameters())


def test_a_network_of_stages_learns_in_the_layers_that_are_named(tokenizer: Any) -> None:
    lora = {"targets": ["pwconv1", "pwconv2"], "rank": 2}
    encoder = make("video", tokenizer, kind="convnext", trainable="lora", lora=lora).video_encoder
    features(encoder, "video", *inputs("video", slice(0, 2)))[0].square().sum().backward()
    assert all(parameter.grad is not None for parameter in lora_parameters(encoder))


def test_a_saved_model_has_the_same_bits(tokenizer: Any, tmp_path: Path) -> None:
    model = make("text", tokenizer, kind="roberta", trainable="lora", lora={"rank": 3, "targets": ["query", "dense"]})
    for parameter in lora_parameters(model):
        torch.nn.init.normal_(parameter, std=0.1)
    save_model(model, tokenizer, tmp_path)
    again, _ = load_model(tmp_path)
    ids, mask = inputs("text")
    batch = {"input_ids": ids, "attention_mask": mask, "durations": torch.ones(4)}
    with torch.no_grad():
        assert torch.equal(again(**batch).logits, model(**batch).logits)
    assert sum(p.requires_grad for p in again.text_encoder.parameters()) == len(list(lora_parameters(again)))


def test_layers_that_are_not_there_and_encoders_without_are_named(tokenizer: Any) -> None:
    with pytest.raises(UserError, match=r"model\.text\.lora\.targets: no linear layer's name ends in wrong; .* query"):
        make("text", tokenizer, kind="bert", trainable="lora", lora={"targets": ["wrong"]})
    with pytest.raises(UserError, match=r"model\.audio\.trainable=lora: this kind of encoder"):
        make("audio", tokenizer, kind="logmel", trainable="lora")


def test_a_layer_gives_the_same_by_its_weight_as_by_its_call() -> None:
    layer = LoraLinear(torch.nn.Linear(6, 4), rank=2, alpha=3.0)
    torch.nn.init.normal_(layer.up)
    x = torch.randn(5, 6)
    torch.testing.assert_close(torch.nn.functional.linear(x, layer.weight, layer.bias), layer(x))


@pytest.mark.parametrize(("modality", "kind"), [*CASES, ("text", "bert"), ("video", "dinov2")])
def test_it_gives_and_learns_what_peft_does(modality: str, kind: str, tokenizer: Any) -> None:
    peft = pytest.importorskip("peft")
    if kind == "wavlm":
        pytest.skip("it multiplies with the weights themselves, where peft leaves out what it adds")
    ours = getattr(
        make(modality, tokenizer, kind=kind, trainable="lora", lora={"rank": 2, "alpha": 6.0}), f"{modality}_encoder"
    )
    theirs = getattr(make(modality, tokenizer, kind=kind), f"{modality}_encoder")
    changed = [name for name, part in ours.backbone.named_modules() if isinstance(part, LoraLinear)]
    wanted = peft.LoraConfig(r=2, lora_alpha=6, target_modules=changed, init_lora_weights=False)
    peft.inject_adapter_in_model(wanted, theirs.backbone)
    pairs = [(ours.backbone.get_submodule(name), theirs.backbone.get_submodule(name)) for name in changed]
    with torch.no_grad():
        for mine, other in pairs:
            mine.down.copy_(other.lora_A["default"].weight)
            mine.up.copy_(other.lora_B["default"].weight)
    content, validity = inputs(modality, slice(0, 2))
    found = []
    for encoder in (ours, theirs.eval()):
        values = features(encoder, modality, content, validity)[0]
        values.square().mean().backward()
        found.append(values.detach())
    torch.testing.assert_close(*found, atol=1e-6, rtol=1e-5)
    for mine, other in pairs:
        torch.testing.assert_close(mine.down.grad, other.lora_A["default"].weight.grad, atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(mine.up.grad, other.lora_B["default"].weight.grad, atol=1e-6, rtol=1e-4)
