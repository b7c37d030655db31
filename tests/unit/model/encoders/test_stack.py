"""A learned mix of layers finds the layer that matters, and layers that were stored are mixed like those of today."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dual_hpc.errors import UserError
from dual_hpc.model.encoders.features import StoredAudio, StoredText
from dual_hpc.model.encoders.freezing import freeze
from tests.unit.model.encoders.test_kinds import features, inputs, make, same

LAYERS = 4


@pytest.mark.parametrize("planted", [1, 2, 3])
def test_a_mix_finds_the_layer_in_which_the_answer_lies(planted: int, tokenizer: Any) -> None:
    section = {"kind": "bert", "layers": "mix", "trainable": "none", "config": {"num_hidden_layers": LAYERS}}
    encoder = make("text", tokenizer, **section).text_encoder
    random = torch.Generator().manual_seed(planted)
    with torch.no_grad():
        for parameter in encoder.backbone.encoder.parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=0.2, generator=random)  # layers that differ, as trained ones do
    ids = torch.randint(4, 9, (96, 7), generator=random)
    mask = torch.ones_like(ids)
    with torch.no_grad():
        states = encoder.backbone(input_ids=ids, output_hidden_states=True).hidden_states
        answer = states[planted] @ torch.randn(64, 8, generator=random) / 8
    head = torch.nn.Linear(64, 8)
    learned = [p for p in encoder.parameters() if p.requires_grad]
    assert [id(p) for p in learned] == [id(encoder.mix.scores)]
    optimizer = torch.optim.Adam([{"params": learned, "lr": 0.1}, {"params": head.parameters(), "lr": 0.02}])
    for _ in range(300):
        loss = (head(encoder.mix(states)) - answer).square().mean()  # frozen: the states stay what they are
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        same(encoder(ids, mask)[0], encoder.mix(states))
    shares = encoder.mix.weights().detach()
    assert int(shares.argmax()) == planted and float(shares[planted]) > 0.5, shares


@pytest.mark.parametrize("planted", [0, 2, 3])
def test_a_model_of_stored_layers_finds_the_one_in_which_the_answer_lies(planted: int, tokenizer: Any) -> None:
    width = 8
    stored = {"kind": "features", "config": {"width": LAYERS * width, "rate_hz": 10.0, "layers": LAYERS}}
    model = make("audio", tokenizer, **stored).train()
    random = torch.Generator().manual_seed(planted)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(200):
        labels = torch.randint(0, 4, (32,), generator=random)
        layers = torch.randn(32, 5, LAYERS, width, generator=random)
        layers[:, :, planted, :4] += 2 * torch.nn.functional.one_hot(labels, 4).float().unsqueeze(1)
        batch = {"audio": layers.flatten(2), "audio_lengths": torch.full((32,), 5), "durations": torch.full((32,), 0.5)}
        model(**batch, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    shares = model.audio_encoder.mix.weights().detach()
    assert int(shares.argmax()) == planted and float(shares[planted]) > 0.5, shares


@pytest.mark.parametrize(
    ("modality", "kind"), [("audio", "whisper"), ("audio", "wavlm"), ("text", "modernbert"), ("video", "dinov2")]
)
def test_layers_side_by_side_are_mixed_later_as_at_once(modality: str, kind: str, tokenizer: Any) -> None:
    content, validity = inputs(modality)
    with torch.no_grad():
        mixed = features(
            getattr(make(modality, tokenizer, kind=kind, layers="mix"), f"{modality}_encoder"),
            modality,
            content,
            validity,
        )
        encoder = getattr(make(modality, tokenizer, kind=kind), f"{modality}_encoder")
        width = encoder.output_size
        assert encoder.give_layers() == 3 and encoder.output_size == 3 * width
        rows = features(encoder, modality, content, validity)
        stored = StoredText(3 * width, layers=3)
        for row, expected in zip(rows[:3], mixed[:3], strict=True):
            found, mask = stored(row.unsqueeze(0), torch.tensor([len(row)]))
            assert mask.all() and found.shape[2] == stored.output_size == width
            same(found[0], expected)


def test_the_weights_of_stored_layers_learn_and_nothing_else_is_there() -> None:
    stored = StoredAudio(12, 50.0, layers=3)
    freeze(stored, "none", "model.audio.trainable")
    values, _ = stored(torch.randn(2, 5, 12), torch.tensor([5, 3]))
    values.square().sum().backward()
    assert [name for name, p in stored.named_parameters() if p.grad is not None] == ["mix.scores"]
    with pytest.raises(ValueError, match="width 10 is not that of 3 layers"):
        StoredAudio(10, 50.0, layers=3)


def test_a_kind_of_stages_gives_its_last_as_before(tokenizer: Any) -> None:
    encoder = make("video", tokenizer, kind="convnext").video_encoder
    assert encoder.give_layers() == 1 and encoder.mix is None
    with pytest.raises(ValueError, match="layers are of unlike sizes, or not told; write last or all"):
        encoder.give_layers([1])


@pytest.mark.parametrize("numbers", [[], [0, 9], [-1], [1, 1]])
def test_layers_that_cannot_lie_side_by_side_are_refused(numbers: list[int], tokenizer: Any) -> None:
    encoder = make("audio", tokenizer, kind="hubert").audio_encoder
    with pytest.raises(ValueError, match=r"this encoder has layers 1 to 2 .*; name each once"):
        encoder.give_layers(numbers)


def test_a_frozen_encoder_learns_the_weights_of_its_layers_alone(tokenizer: Any) -> None:
    model = make("audio", tokenizer, kind="hubert", layers=[0, 2], trainable="none")
    assert [n for n, p in model.audio_encoder.named_parameters() if p.requires_grad] == ["mix.scores"]
    assert not model.train().audio_encoder.training
    with pytest.raises(UserError, match=r"model\.audio\.layers=\[0, 3\]"):
        make("audio", tokenizer, kind="hubert", layers=[0, 3])
