"""Parameter groups and the step that can be held back."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dual_hpc.config.schema import OptimConfig
from dual_hpc.training.optimizer import GuardedAdamW, parameter_groups, set_learning_rates

ENCODERS = ("audio_encoder", "video_encoder")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.audio_encoder = nn.Linear(2, 2)
        self.video_encoder = nn.Linear(2, 2)
        self.video_encoder.requires_grad_(False)
        self.decoder = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
        self.temperature = nn.Parameter(torch.tensor(0.1))


def test_every_trainable_parameter_is_in_one_group_and_vectors_do_not_decay() -> None:
    net = Net()
    optim = OptimConfig(lr=1e-3, encoder_lr_scale=0.1, weight_decay=0.01)
    groups = parameter_groups(net.named_parameters(), optim, ENCODERS)
    found = [id(p) for group in groups for p in group["params"]]
    assert sorted(found) == sorted(id(p) for p in net.parameters() if p.requires_grad)
    assert {(round(g["lr"], 9), g["weight_decay"]) for g in groups} == {
        (lr, decay) for lr in (1e-3, 1e-4) for decay in (0.0, 0.01)
    }
    for group in groups:
        assert all((p.ndim >= 2) == (group["weight_decay"] > 0) for p in group["params"])


def test_the_encoders_of_the_model_are_known_by_name() -> None:
    from dual_hpc.config.schema import ModelConfig
    from dual_hpc.model import build_model, build_tokenizer

    preprocessing = {"sample_rate": 16_000, "image_size": 32, "video_hz": 5.0, "max_seconds": 2.0, "max_tokens": 16}
    model = build_model(
        ModelConfig(hidden_size=16, num_heads=2), ["a", "b"], preprocessing, None, build_tokenizer(["so"], 1)
    )
    for name in ENCODERS:
        assert any(parameter.startswith(f"{name}.") for parameter, _ in model.named_parameters()), name


def test_a_held_step_changes_neither_weights_nor_state() -> None:
    weight = nn.Parameter(torch.ones(3))
    optimizer = GuardedAdamW([weight], lr=0.1)
    weight.grad = torch.ones(3)
    optimizer.step()
    before, state = weight.detach().clone(), {k: v.clone() for k, v in optimizer.state[weight].items()}
    optimizer.skip = True
    optimizer.step()
    assert torch.equal(weight, before)
    assert all(torch.equal(optimizer.state[weight][key], value) for key, value in state.items())
    optimizer.skip = False
    optimizer.step()
    assert not torch.equal(weight, before)


def test_rates_are_set_by_position_and_a_lost_group_is_noticed() -> None:
    optimizer = torch.optim.SGD([{"params": [torch.ones(1)]}, {"params": [torch.ones(1)]}], lr=9.0)
    assert set_learning_rates(optimizer, [1.0, 0.1], 0.5) == 0.5
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.05]
    with pytest.raises(ValueError):
        set_learning_rates(optimizer, [1.0], 0.5)
