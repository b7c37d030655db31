"""Every kind of encoder that is an architecture of transformers: what holds for all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from dual_hpc.config.schema import ModelConfig, TrainingConfig
from dual_hpc.errors import UserError
from dual_hpc.model import build_model, load_model, save_model
from dual_hpc.model.encoders.kinds import KINDS
from dual_hpc.model.encoders.pretrained import Architecture
from dual_hpc.model.execution import prepare_execution
from tests.unit.model.conftest import COUNTS, LABELS, PREPROCESSING

ALL = [(modality, kind) for modality, kinds in KINDS.items() for kind in kinds]
UNMIXED = ("vjepa2", "convnext", "convnextv2", "dinov3_convnext", "swin", "swinv2", "regnet", "efficientnet")
LENGTHS = {"audio": [20_000, 9_000, 150, 0], "video": [6, 3, 1, 0], "text": [7, 3, 1, 0]}
INPUT = {"audio": "waveform", "video": "frames", "text": "input_ids"}


def make(modality: str, tokenizer: Any, **section: Any) -> Any:
    torch.manual_seed(0)
    tree = {"family": f"{modality}_only", "hidden_size": 16, "num_heads": 2, modality: section}
    return build_model(ModelConfig.model_validate(tree), LABELS, PREPROCESSING, COUNTS, tokenizer).eval()


def inputs(modality: str, rows: slice = slice(None)) -> tuple[torch.Tensor, torch.Tensor]:
    """Contents of `LENGTHS`, as a batch of those rows pads them, and what says how long each is."""
    lengths = torch.tensor(LENGTHS[modality])
    random = torch.Generator().manual_seed(1)
    longest = int(lengths.max())
    if modality == "audio":
        content = torch.randn(4, longest, generator=random) * 0.1
    elif modality == "video":
        content = torch.randint(0, 256, (4, longest, 3, 32, 32), generator=random, dtype=torch.uint8)
    else:
        content = torch.randint(4, 9, (4, longest), generator=random)
    size = int(lengths[rows].max())
    chosen = lengths[rows]
    if modality == "text":
        return content[rows, :size], (torch.arange(size) < chosen.unsqueeze(1)).long()
    return content[rows, :size], chosen


def features(encoder: Any, modality: str, content: torch.Tensor, validity: torch.Tensor) -> list[torch.Tensor]:
    """The valid features of each row; those beyond are zero."""
    found = encoder(content, validity)
    values, lengths = (found, validity) if modality == "video" else found
    lengths = lengths.sum(1) if modality == "text" else lengths
    assert values.shape[2] == encoder.output_size
    assert all(not row[int(length) :].any() for row, length in zip(values, lengths, strict=True))
    return [row[: int(length)] for row, length in zip(values, lengths, strict=True)]


def same(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=5e-5, rtol=1e-4)


@pytest.mark.parametrize(("modality", "kind"), ALL)
def test_features_depend_on_the_sample_alone(modality: str, kind: str, tokenizer: Any) -> None:
    encoder = getattr(make(modality, tokenizer, kind=kind), f"{modality}_encoder")
    content, validity = inputs(modality)
    with torch.no_grad():
        together = features(encoder, modality, content, validity)
        dirty = content.clone()
        for row, length in enumerate(LENGTHS[modality]):
            dirty[row, length:] = float("nan") if modality == "audio" else 255
        for found, expected in zip(features(encoder, modality, dirty, validity), together, strict=True):
            same(found, expected)
        for row in range(3):
            same(features(encoder, modality, *inputs(modality, slice(row, row + 1)))[0], together[row])
    assert [len(found) > 0 for found in together] == [True, True, True, False]
    if modality == "audio":
        assert abs(len(together[0]) - 1.25 * encoder.rate_hz) <= 2
        loud = features(encoder, modality, content * 20, validity)
        same(loud[0], together[0])


@pytest.mark.parametrize(("modality", "kind"), ALL)
def test_what_is_trained_has_a_gradient_and_a_saved_model_is_the_same_bits(
    modality: str, kind: str, tokenizer: Any, tmp_path: Path
) -> None:
    model = make(modality, tokenizer, kind=kind)
    content, validity = inputs(modality)
    names = (
        INPUT[modality],
        {"text": "attention_mask"}.get(modality, f"{INPUT[modality]}_lengths".replace("mes_", "me_")),
    )
    batch = {**dict(zip(names, (content, validity), strict=True)), "durations": torch.ones(4)}
    assert [name for name, p in model.named_parameters() if not p.numel()] == []  # ZeRO 3 cannot gather them
    model(**batch, labels=torch.tensor([0, 1, 2, 3])).loss.backward()
    without = [
        name
        for name, p in model.named_parameters()
        if p.requires_grad and (p.grad is None or not p.grad.isfinite().all())
    ]
    assert without == []
    save_model(model, tokenizer if modality == "text" else None, tmp_path / "saved")
    again, _ = load_model(tmp_path / "saved")
    assert again.config.to_dict()[modality] == model.config.to_dict()[modality]
    with torch.no_grad():
        assert torch.equal(again(**batch).logits, model(**batch).logits)
    frozen = make(modality, tokenizer, kind=kind, trainable=1)
    assert sum(p.requires_grad for p in getattr(frozen, f"{modality}_encoder").parameters()) > 0


def written(modality: str, kind: str, folder: Path, tokenizer: Any) -> Any:
    """A folder as transformers itself writes it, and the model that it holds."""
    config = getattr(make(modality, tokenizer, kind=kind).config, modality)["config"]
    architecture = Architecture(config["model_type"], part=KINDS[modality][kind].part)
    torch.manual_seed(2)
    model = transformers.AutoModel.from_config(architecture.config_class.from_dict(dict(config))).eval()
    model.save_pretrained(folder)
    if modality == "text":
        tokenizer.save_pretrained(folder)
    return architecture.used(model)


@pytest.mark.parametrize(("modality", "kind"), ALL)
def test_the_weights_of_a_folder_arrive_by_name_and_by_auto(
    modality: str, kind: str, tokenizer: Any, tmp_path: Path
) -> None:
    theirs = written(modality, kind, tmp_path, tokenizer).state_dict()
    content, validity = inputs(modality)
    answers = []
    for chosen in (kind, "auto"):
        encoder = getattr(make(modality, tokenizer, kind=chosen, path=str(tmp_path)), f"{modality}_encoder")
        ours = encoder.backbone.state_dict()
        assert ours and all(torch.equal(value, theirs[name]) for name, value in ours.items())
        with torch.no_grad():
            answers.append(features(encoder, modality, content, validity)[0])
    assert torch.equal(*answers)


@pytest.mark.parametrize(("modality", "kind"), ALL)
@pytest.mark.parametrize("layers", ["last", "mix"])
def test_activations_that_are_computed_again_change_no_gradient(
    layers: str, modality: str, kind: str, tokenizer: Any
) -> None:
    if layers == "mix" and kind in UNMIXED:
        pytest.skip("its layers cannot be mixed")
    content, validity = inputs(modality, slice(0, 2))
    found = []
    for how in ("none", "encoders"):
        model = make(modality, tokenizer, kind=kind, layers=layers).train()
        prepare_execution(model, TrainingConfig(activation_checkpointing=how), "cpu")
        encoder = getattr(model, f"{modality}_encoder")
        torch.manual_seed(3)  # of dropout
        sum(row.square().sum() for row in features(encoder, modality, content, validity)).backward()
        found.append({name: p.grad for name, p in encoder.named_parameters() if p.grad is not None})
    plain, again = found
    assert plain and plain.keys() == again.keys()
    assert [name for name in plain if not torch.equal(plain[name], again[name])] == []


@pytest.mark.parametrize(("modality", "kind"), ALL)
def test_a_mix_of_layers_begins_as_their_mean(modality: str, kind: str, tokenizer: Any) -> None:
    if kind in UNMIXED:
        with pytest.raises(UserError, match=rf"model\.{modality}\.layers=mix: this encoder's layers cannot be mixed"):
            make(modality, tokenizer, kind=kind, layers="mix")
        return
    mixed = make(modality, tokenizer, kind=kind, layers="mix")
    encoder = getattr(mixed, f"{modality}_encoder")
    content, validity = inputs(modality, slice(0, 2))
    assert encoder.mix.numbers == [0, 1, 2]
    with torch.no_grad():
        each = []
        for number in range(3):
            one = getattr(make(modality, tokenizer, kind=kind, layers=[number]), f"{modality}_encoder")
            each.append(features(one, modality, content, validity)[0])
        same(features(encoder, modality, content, validity)[0], torch.stack(each).mean(0))
    assert not torch.allclose(each[0], each[1], atol=1e-3)
    features(encoder, modality, content, validity)[0].square().sum().backward()
    assert [n for n, p in encoder.named_parameters() if p.requires_grad and p.grad is None] == []


def test_layers_that_are_not_there_are_named(tokenizer: Any) -> None:
    with pytest.raises(UserError, match=r"model\.text\.layers=\[1, 9\]: this encoder has layers 1 to 2"):
        make("text", tokenizer, kind="bert", layers=[1, 9])
    with pytest.raises(UserError, match=r"model\.audio\.layers=mix: this kind of encoder gives its last layer only"):
        make("audio", tokenizer, kind="logmel", layers="mix")
