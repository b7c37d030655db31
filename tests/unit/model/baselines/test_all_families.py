"""What holds for every registered model, DUAL included: contracts 9 and 10, saving, gradients, and their size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from dual_hpc.config import load_config
from dual_hpc.config.schema import ModelConfig
from dual_hpc.data.modality_mask import mask_except
from dual_hpc.errors import UserError
from dual_hpc.model import build_model, load_model, save_model
from dual_hpc.model.family import FAMILIES
from dual_hpc.model.names import check_names
from dual_hpc.model_manifest import write_manifest
from tests.unit.model.conftest import LABELS, PREPROCESSING

NAMES = FAMILIES.names()
BASELINES = [name for name in NAMES if name != "dual"]
SUBSETS = ("", "a", "v", "t", "av", "at", "vt", "avt")  # what a sample lacks


@pytest.fixture(params=["light", "features"])
def encoders(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def assert_near(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)


def row(batch: dict[str, Any], number: int) -> dict[str, Any]:
    return {name: values[number : number + 1] for name, values in batch.items()}


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_and_the_answer_of_a_sample_do_not_know_its_batch(
    name: str, encoders: str, make_model: Any, make_batch: Any
) -> None:
    model, batch = make_model(encoders, family=name), make_batch(SUBSETS)
    with torch.no_grad():
        together = model(**batch)
        alone = [model(**row(batch, number)) for number in range(len(SUBSETS))]
    assert_near(torch.cat([one.logits for one in alone]), together.logits)
    for loss in FAMILIES.get(name).losses:
        mean = torch.stack([getattr(one, loss) for one in alone]).mean()
        assert_near(getattr(together, loss), mean)


@pytest.mark.parametrize("name", NAMES)
def test_neither_more_padding_nor_garbage_in_it_changes_an_answer_or_a_gradient(
    name: str, encoders: str, make_model: Any, make_batch: Any
) -> None:
    model, batch = make_model(encoders, family=name), make_batch(SUBSETS)
    longer = dict(batch)
    for key, steps in (("waveform", 3_201), ("frames", 4), ("input_ids", 3), ("audio", 5), ("video", 2), ("text", 4)):
        garbage = torch.full((len(SUBSETS), steps, *batch[key].shape[2:]), 7, dtype=batch[key].dtype)
        if garbage.is_floating_point():
            garbage[:] = float("nan")
        longer[key] = torch.cat([batch[key], garbage], dim=1)
    longer["attention_mask"] = torch.nn.functional.pad(batch["attention_mask"], (0, 3))
    found = []
    for one in (batch, longer):
        model.zero_grad()
        output = model(**one)
        output.loss.backward()
        found.append((output.logits.detach(), torch.cat([p.grad.flatten() for p in model.parameters()])))
    assert_near(found[1][0], found[0][0])
    torch.testing.assert_close(found[1][1], found[0][1], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_has_a_finite_gradient_whatever_is_missing(name: str, make_model: Any, make_batch: Any) -> None:
    used = set()
    for missing in (("", ""), ("", "a"), ("a", "a"), ("v", "t"), ("avt", "avt")):
        model = make_model(family=name).train()
        model(**make_batch(missing)).loss.backward()
        gradients = {key: p.grad for key, p in model.named_parameters() if p.requires_grad}
        assert all(grad is not None and grad.isfinite().all() for grad in gradients.values()), missing
        used |= {key for key, grad in gradients.items() if grad is not None and grad.any()}
    assert used == set(gradients), "parameters that never learn"


@pytest.mark.parametrize("name", NAMES)
def test_a_modality_matters_where_it_is_read_and_a_missing_one_is_as_if_it_were_not_there(
    name: str, make_model: Any, make_batch: Any
) -> None:
    model, reads = make_model(family=name), FAMILIES.get(name).reads
    assert model.config.modalities == reads
    with torch.no_grad():
        batch = make_batch(("", ""))
        left = {lacks: "".join(letter for letter in "avt" if letter not in lacks) for lacks in SUBSETS}
        answers = {lacks: model(**mask_except(batch, shown)).logits for lacks, shown in left.items()}
    for lacks in SUBSETS:
        seen = [letter for letter in reads if letter not in lacks]
        same = set(SUBSETS) - {lacks}
        for other in (one for one in same if [letter for letter in reads if letter not in one] == seen):
            assert_near(answers[other], answers[lacks])
        for other in (one for one in same if [letter for letter in reads if letter not in one] != seen):
            assert not torch.allclose(answers[other], answers[lacks], atol=1e-6), (lacks, other)


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_model_gives_bitwise_the_same(
    name: str, encoders: str, make_model: Any, make_batch: Any, tokenizer: Any, tmp_path: Path
) -> None:
    model, batch = make_model(encoders, family=name), make_batch()
    save_model(model, tokenizer if model.config.reads_words else None, tmp_path)
    again, _ = load_model(tmp_path)
    assert type(again) is type(model)
    for key in (*type(model.config).settings, "labels", "options", "audio", "video", "text", "modalities"):
        own = type(model.config).renamed.get(key, key)
        assert getattr(again.config, own, None) == getattr(model.config, own, None)
    with torch.no_grad():
        assert torch.equal(model(**batch).logits, again(**batch).logits)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.bfloat16], ids=["bf16"])
def test_it_runs_in_half_precision(name: str, dtype: torch.dtype, make_model: Any, make_batch: Any) -> None:
    model = make_model(family=name).to(dtype)
    output = model(**make_batch(SUBSETS))
    output.loss.backward()
    assert output.logits.dtype == output.loss.dtype == torch.float32 and output.logits.isfinite().all()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", NAMES)
def test_the_losses_are_those_that_the_family_names(name: str, make_model: Any, make_batch: Any) -> None:
    output = make_model(family=name)(**make_batch())
    assert {key for key in output if key.startswith("loss")} == set(FAMILIES.get(name).losses)


@pytest.mark.parametrize("name", NAMES)
def test_blocks_of_a_model_lie_above_its_encoders_and_none_inside_another(name: str, make_model: Any) -> None:
    model = make_model(family=name)
    found = [module for block in model.blocks() for module in block.modules()]
    assert len(found) == len({id(module) for module in found})
    inside = {id(m) for part in FAMILIES.get(name).encoders if (e := getattr(model, part)) for m in e.modules()}
    assert not inside & {id(module) for module in found}


@pytest.mark.parametrize("preset", ["demo", "iemocap4", "meld"])
@pytest.mark.parametrize("name", BASELINES)
def test_by_default_a_baseline_is_as_large_as_dual(name: str, preset: str) -> None:
    """Parameters above the encoders, whose features are given: a pretrained one would be 100 times as large."""
    ours, dual = (parameters(model_section(preset, family)) for family in (name, "dual"))
    assert 0.8 < ours / dual < 1.2


def model_section(preset: str, family: str, **further: Any) -> ModelConfig:
    """A preset's section, with features as wide as those of its encoders."""
    tree = load_config(preset).model.model_dump()
    sizes = {"audio": 64, "video": 64, "text": 64} if preset == "demo" else {"audio": 768, "video": 2048, "text": 768}
    for modality, width in sizes.items():
        rate = {"rate_hz": 50.0} if modality == "audio" else {}
        tree[modality] = {"kind": "features", "trainable": "none", "config": {"width": width, **rate}}
    return ModelConfig.model_validate({**tree, "family": family, **further})


def parameters(section: ModelConfig) -> int:
    model = build_model(section, LABELS, PREPROCESSING, None, None)
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_width_follows_the_settings_of_dual() -> None:
    for further in ({"hidden_size": 64}, {"residual_layers": 3}, {"use_sdm": False}):
        ours, dual = (parameters(model_section("demo", family, **further)) for family in ("early_fusion", "dual"))
        assert 0.8 < ours / dual < 1.2, further
    assert parameters(model_section("demo", "mult", options={"width": 8, "layers": 1})) < 10_000


def test_a_run_keeps_the_width_that_it_wrote_whatever_would_be_chosen_today(make_model: Any) -> None:
    section = model_section("demo", "early_fusion")
    written = build_model(section, LABELS, PREPROCESSING, None, None).config.to_dict()
    written["options"]["width"] = 24
    again = build_model(section, LABELS, PREPROCESSING, None, None, written)
    assert again.config.options["width"] == 24 and again.state_dict()["head.1.weight"].shape == (4, 24)


def test_late_fusion_that_was_written_before_it_had_layers_is_built_as_it_was(make_model: Any) -> None:
    written = make_model(family="late_fusion", options={"layers": 0}).config.to_dict()
    for key in ("options", "grid_hz", "num_heads"):
        del written[key]
    model = build_model(model_section("demo", "late_fusion"), LABELS, PREPROCESSING, None, None, written)
    assert all(model.state_dict()[f"heads.{m}.1.weight"].shape == (4, 64) for m in ("audio", "video", "text"))
    assert not hasattr(model.config, "options")
    assert set(model.state_dict()) == {f"heads.{m}.1.{part}" for m in ("audio", "video", "text") for part in PARTS}


PARTS = ("weight", "bias")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"family": "text_only", "use_text": False}, r"^model\.use_text: off, and model\.family=text_only reads noth"),
        ({"family": "mult", "use_text": False}, r"^model\.family=mult reads text, and audio or video with it"),
        ({"family": "mult", "use_audio": False, "use_video": False}, r"^model\.family=mult reads text, and audio or"),
        ({"family": "mmin", "use_audio": False, "use_video": False}, r"^model\.family=mmin imagines one modality"),
        ({"family": "mult", "options": {"width": 30}}, r"^model\.options\.width=30: must be a multiple of 4"),
        ({"family": "mmin", "options": {"layers": 0}}, r"^model\.options\.layers: "),
        ({"family": "late_fusion", "options": {"lambda_cycle": 1}}, r"^model\.options\.lambda_cycle: unknown key"),
        ({"family": "mlt"}, r"did you mean 'mult'\?"),
    ],
)
def test_settings_that_make_no_model_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        check_names(ModelConfig.model_validate(settings))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"width": "wide"}, "width"),
        ({"width": 10**12}, "options.width"),
        ({"width": 16_000, "layers": 90}, "many times larger than the weights"),
        ([1], "options"),
    ],
)
def test_options_that_no_training_wrote_are_refused_before_a_model_is_made(
    options: dict[str, Any], said: str, make_model: Any, tokenizer: Any, tmp_path: Path
) -> None:
    save_model(make_model(family="early_fusion"), tokenizer, tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**content, "options": options}))
    write_manifest(tmp_path)
    with pytest.raises(UserError, match=said):
        load_model(tmp_path)


def test_what_is_imagined_counts_only_where_something_was_held_back(make_model: Any, make_batch: Any) -> None:
    model = make_model("features", family="mmin")
    losses = {}
    with torch.no_grad():
        for lacks in ("", "a", "av", "avt"):
            output = model(**make_batch((lacks,)))
            losses[lacks] = (float(output.loss_imagination), float(output.loss_cycle))
    assert losses["av"] == losses["avt"] == (0.0, 0.0)
    assert min(losses[""]) > 0 and min(losses["a"]) > 0


def test_mmin_learns_to_imagine(make_model: Any, make_batch: Any) -> None:
    """Of modalities that say the same, one is imagined from another far better than from nothing."""
    model = make_model("features", family="mmin").train()
    h = torch.nn.functional.layer_norm(torch.randn(64, 1, model.option["width"]), (model.option["width"],))
    h, present = h.expand(-1, 3, -1).contiguous(), torch.ones(64, 3, dtype=torch.bool)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    first = last = 0.0
    for step in range(150):
        loss = sum(part.mean() for part in model.imagination_losses(h, present))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        first, last = (float(loss.detach()), 0.0) if step == 0 else (first, float(loss.detach()))
    assert last < 0.3 * first
