"""LoRA: nothing changes at first, little is trained, and the numbers are peft's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from dual_hpc.errors import UserError
from dual_hpc.model import load_model, save_model
from dual_hpc.model.encoders.lora import LoraLinear, add_lora, lora_parameters
from tests.unit.model.encoders.test_kinds import features, inputs, make, written

CASES = [("audio", "wav2vec2"), ("audio", "wavlm"), ("audio", "whisper"), ("audio", "wav2vec2-bert"), ("video", "clip")]
CASES += [("video", "videomae"), ("text", "roberta"), ("text", "deberta-v2"), ("text", "qwen3"), ("text", "modernbert")]


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


def test_it_gives_what_peft_gives() -> None:
    peft = pytest.importorskip("peft")
    config = transformers.BertConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, vocab_size=20
    )
    torch.manual_seed(0)
    theirs = transformers.BertModel(config, add_pooling_layer=False).eval()
    ours = transformers.BertModel(config, add_pooling_layer=False).eval()
    ours.load_state_dict(theirs.state_dict())
    wanted = peft.LoraConfig(r=2, lora_alpha=6, target_modules=["query", "value"], init_lora_weights=False)
    theirs = peft.inject_adapter_in_model(wanted, theirs).eval()
    add_lora(ours, 2, 6.0, ["query", "value"], "model.text.lora")
    with torch.no_grad():
        for name, layer in ours.named_modules():
            if isinstance(layer, LoraLinear):
                other = theirs.get_submodule(name)
                layer.down.copy_(other.lora_A["default"].weight)
                layer.up.copy_(other.lora_B["default"].weight)
        ids = torch.randint(0, 20, (2, 7))
        torch.testing.assert_close(ours(ids).last_hidden_state, theirs(ids).last_hidden_state, atol=1e-6, rtol=1e-5)
