"""Every trainable parameter is in every graph, whatever a batch lacks: ranks must never differ."""

from __future__ import annotations

from typing import Any

import pytest
import torch

LENGTHS = {
    "a": ("waveform_lengths", "audio_lengths"),
    "v": ("frame_lengths", "video_lengths"),
    "t": ("attention_mask", "text_lengths"),
}
SUBSETS = ["", "a", "v", "t", "av", "at", "vt", "avt"]


@pytest.mark.parametrize("family", ["light", "melcnn", "wav2vec2-vit-roberta", "hubert", "wavlm", "features"])
def test_every_parameter_has_a_finite_gradient_and_changes(family: str, make_model: Any, make_batch: Any) -> None:
    model = make_model(family, learn_temperature=True, lambda_unimodal=0.5, unimodal_logits=True).train()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    model(**make_batch(("", "", "", "a", "v", "t"))).loss.backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []
    optimizer.step()
    assert [n for n, p in model.named_parameters() if torch.equal(p, before[n])] == []


@pytest.mark.parametrize("missing", SUBSETS)
@pytest.mark.parametrize("family", ["light", "melcnn", "wav2vec2-vit-roberta", "features"])
def test_a_whole_batch_may_lack_any_modalities(family: str, missing: str, make_model: Any, make_batch: Any) -> None:
    model = make_model(family).train()
    model(**make_batch((missing, missing))).loss.backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


def graph(loss: torch.Tensor) -> list[str]:
    """Names of the autograd nodes, sorted."""
    nodes, open_nodes = set(), [loss.grad_fn]
    while open_nodes:
        node = open_nodes.pop()
        if node is not None and node not in nodes:
            nodes.add(node)
            open_nodes += [following for following, _ in node.next_functions]
    return sorted(type(node).__name__ for node in nodes)


@pytest.mark.parametrize("family", ["light", "melcnn", "features"])
def test_the_graph_does_not_depend_on_what_samples_have(family: str, make_model: Any, make_batch: Any) -> None:
    model = make_model(family).train()
    padded = make_batch(("", ""))
    graphs = []
    for missing in SUBSETS:
        batch = dict(padded)
        for letter, names in LENGTHS.items():
            if letter in missing:
                batch |= {name: torch.zeros_like(batch[name]) for name in names}
        graphs.append(graph(model(**batch).loss))
    assert all(nodes == graphs[0] for nodes in graphs)


def test_unlabelled_samples_cost_nothing(make_model: Any, make_batch: Any) -> None:
    model, batch = make_model(lambda_static=0.0, lambda_dynamic=0.0), make_batch(("", ""))
    batch["labels"][:] = -100
    loss = model(**batch).loss
    loss.backward()
    assert loss == 0
    assert all(p.grad is not None and not p.grad.any() for p in model.parameters())


def test_clips_of_one_sample_and_one_frame_train(make_model: Any, make_batch: Any) -> None:
    for family in ("light", "wav2vec2-vit-roberta", "features"):
        model, batch = make_model(family).train(), make_batch(("", ""))
        batch |= {
            "waveform": torch.ones(2, 1),
            "waveform_lengths": torch.tensor([1, 1]),
            "frames": batch["frames"][:, :1],
            "frame_lengths": torch.tensor([1, 1]),
            "durations": torch.tensor([1 / 16_000, 0.0]),
            **{name: batch[name][:, :1] for name in ("audio", "video", "text")},
            **{f"{name}_lengths": torch.tensor([1, 1]) for name in ("audio", "video", "text")},
        }
        output = model(**batch)
        output.loss.backward()
        assert output.mask.shape == (2, 1)
        assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("family", ["light", "melcnn", "features"])
def test_the_model_learns_a_batch_by_heart(family: str, make_model: Any, make_batch: Any) -> None:
    model, batch = make_model(family, dropout=0.0).train(), make_batch(("", "t", "a", "v"))
    batch["labels"] = torch.tensor([0, 1, 2, 3])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(40):
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
    assert model.eval()(**batch).logits.argmax(1).tolist() == [0, 1, 2, 3]
