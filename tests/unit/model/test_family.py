"""Families: found by name and by what a saved model says of itself, which never causes an import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from dual_hpc.config.schema import ModelConfig, Section
from dual_hpc.errors import UserError
from dual_hpc.model import build_model, load_model, save_model
from dual_hpc.model.baselines.late_fusion import LateFusion, LateFusionConfig
from dual_hpc.model.encoders.base import Encoder, OwnEncoder
from dual_hpc.model.encoders.registry import AUDIO, ENCODERS
from dual_hpc.model.family import FAMILIES, ModelFamily, register_family
from dual_hpc.model.losses.registry import LOSSES
from dual_hpc.model.names import check_names
from dual_hpc.registry import Registry, during_plugin
from tests.unit.model.conftest import LABELS, PREPROCESSING


@pytest.fixture
def registries(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten again."""
    for registry in (FAMILIES, LOSSES, *ENCODERS.values()):
        monkeypatch.setattr(registry, "_things", dict(registry._things))
        monkeypatch.setattr(registry, "_plugins", dict(registry._plugins))


def test_names_are_checked_without_loading_torch() -> None:
    program = (
        "import sys\n"
        "from dual_hpc.config.schema import ModelConfig\n"
        "from dual_hpc.model.names import check_names\n"
        "check_names(ModelConfig())\n"
        "print(*{'torch', 'transformers'} & set(sys.modules))"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"family": "dul"}, r"^model\.family: there is no model 'dul'; did you mean 'dual'\?"),
        ({"loss": "focal_loss"}, r"^model\.loss: there is no loss 'focal_loss'; did you mean 'focal'\?"),
        ({"audio": {"kind": "wav2vec"}}, r"^model\.audio\.kind: there is no audio encoder 'wav2vec'; .*'wav2vec2'"),
        ({"video": {"kind": "resnet50"}}, r"^model\.video\.kind: .* did you mean 'resnet'\?"),
        ({"text": {"kind": "elmo"}}, r"^model\.text\.kind: .* available: bert, roberta, xlm-roberta"),
        ({"options": {"depth": 3}}, r"^model\.options\.depth: the model 'dual' takes no options$"),
        ({"hidden_size": 18}, r"^model\.num_heads=4 does not divide model\.hidden_size=18$"),
    ],
)
def test_a_name_that_nothing_is_registered_under_is_refused_with_the_nearest(
    settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        check_names(ModelConfig.model_validate(settings))


@pytest.mark.parametrize("registry", [FAMILIES, LOSSES, *ENCODERS.values()], ids=lambda one: one.setting)
def test_every_file_registers_what_it_is_named_after(registry: Registry[Any]) -> None:
    assert all(registry.get(name) is not None for name in registry)
    assert all(registry.plugin_of(name) is None for name in registry)


def test_the_losses_of_a_family_are_those_that_its_output_has(make_model: Any, make_batch: Any) -> None:
    for family in ("dual", "late_fusion"):
        output = make_model(family=family)(**make_batch())
        assert {name for name in output if name.startswith("loss")} == set(FAMILIES.get(family).losses)


def test_parts_that_learn_at_their_own_rate_exist(make_model: Any) -> None:
    for family in ("dual", "late_fusion"):
        parts = {name.split(".")[0] for name, _ in make_model(family=family).named_parameters()}
        assert set(FAMILIES.get(family).encoders) < parts


class Depth(Section):
    """Options of the toy."""

    depth: int = 1


class ToyConfig(LateFusionConfig):
    """A family's configuration needs a name only."""

    model_type = "toy_of_a_test"


class Toy(LateFusion):
    """Its model."""

    config_class = ToyConfig


class Level(Encoder):
    """Mean absolute value of each tenth of a second."""

    output_size = 1
    rate_hz = 10.0

    def __init__(self, sample_rate: int, gain: float = 1.0) -> None:
        super().__init__()
        self.size = sample_rate // 10
        self.gain = torch.nn.Parameter(torch.tensor([gain]))

    def layers(self) -> list[torch.nn.Module]:
        return []

    def forward(self, waveform: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        steps = -(-waveform.shape[1] // self.size)
        padded = torch.nn.functional.pad(waveform, (0, steps * self.size - waveform.shape[1]))
        level = padded.unflatten(1, (steps, self.size)).abs().mean(2, keepdim=True) * self.gain
        return level, -(-lengths // self.size)


def test_a_family_and_an_encoder_of_a_plugin_are_built_saved_and_loaded_with_it_only(
    registries: None, tokenizer: Any, make_batch: Any, tmp_path: Path
) -> None:
    with during_plugin("mylab.emotion"):
        register_family(ModelFamily(ToyConfig, Toy, options=Depth))
    with during_plugin("mylab.sound"):
        AUDIO.register("level", OwnEncoder(Level, ["sample_rate"]))
    tree = {"family": "toy_of_a_test", "options": {"depth": 3}, "audio": {"kind": "level", "config": {"gain": 2.0}}}
    model = build_model(ModelConfig.model_validate(tree), LABELS, PREPROCESSING, None, tokenizer).eval()
    save_model(model, tokenizer, tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    assert content["plugins"] == ["mylab.emotion", "mylab.sound"] and content["options"] == {"depth": 3}
    again, _ = load_model(tmp_path)
    assert type(again) is Toy and again.config.options == {"depth": 3}
    batch = make_batch()
    with torch.no_grad():
        assert torch.equal(again(**batch).logits, model(**batch).logits)

    with pytest.raises(UserError, match=r"^model\.options\.depht: unknown key; did you mean depth\?"):
        check_names(ModelConfig.model_validate({**tree, "options": {"depht": 3}}))

    del AUDIO._things["level"]
    with pytest.raises(UserError, match=r"the audio encoder 'level' is registered by a plugin: add --plugin mylab"):
        load_model(tmp_path)
    del FAMILIES._things["toy_of_a_test"]
    with pytest.raises(UserError) as failure:
        load_model(tmp_path)
    assert "model type 'toy_of_a_test' is registered by the plugins mylab.emotion, mylab.sound: add --plugin" in str(
        failure.value
    )
    assert "mylab" not in sys.modules


def test_a_saved_dual_says_nothing_that_it_did_not_say_before(make_model: Any, tmp_path: Path) -> None:
    make_model().save_pretrained(tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    assert content["model_type"] == "dual"
    assert not {"family", "options", "plugins", "temperature"} & set(content)
