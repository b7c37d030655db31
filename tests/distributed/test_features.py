"""From media shards to features to a trained and evaluated model, through the same loop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dual_hpc.config import load_config
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.format.index import read_index, write_index
from dual_hpc.errors import UserError
from dual_hpc.evaluation.prediction_file import ENDING, read_predictions
from dual_hpc.evaluation.run import evaluate, evaluate_into, evaluate_run
from dual_hpc.inference.predictor import Predictor
from dual_hpc.model import build_model, build_tokenizer, load_model, save_model
from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import read, replay
from dual_hpc.training.export import export_checkpoint
from dual_hpc.training.shard_config import config_for_shards
from shards.encoders import encoders_of_model
from shards.extraction import extract

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(1800)]
PREPROCESSING = {"sample_rate": 16_000, "image_size": 32, "video_hz": 4.0, "max_seconds": 0.5, "max_tokens": 12}


@pytest.fixture(scope="module")
def features(tiny_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features of the tiny shards, from the encoders of an untrained DUAL."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("features")
    config, tokenizer = load_config("demo", ["model.hidden_size=16"]), build_tokenizer(["it is sad"] * 2)
    save_model(build_model(config.model, ["any"], PREPROCESSING, None, tokenizer), tokenizer, folder / "model")
    extract(tiny_shards, folder / "shards", encoders_of_model(folder / "model"))
    return folder / "shards"


def answers(model: Path, shards: Path, out: Path) -> dict[str, list[float]]:
    """Probabilities of every labelled utterance by its key."""
    data = of(shards, "data.protocol=all").data
    evaluate_into(out, model, data, "all", ("avt",))
    found = read_predictions(out / f"all{ENDING}").found["avt"]
    return dict(zip(found.keys, found.probabilities.tolist(), strict=True))


def of(shards: Path, *overrides: str) -> Any:
    return load_config("demo", [f"data.shards=[{shards}]", *overrides])


def test_a_run_on_feature_shards_needs_no_other_setting(
    make_run: Callable[..., RunDir], start_ranks: Callable[..., Any], features: Path, tiny_shards: Path, tmp_path: Path
) -> None:
    run = make_run("features", f"data.shards=[{features}]", "training.max_steps=3", "training.precision=bf16")
    start_ranks("train", 1, run.path).check()
    assert list(replay(read(run.journal))["train/loss"]) == [1, 2, 3]
    model, tokenizer = load_model(run.exports / "best")
    assert model.config.reads_features and tokenizer is None
    assert model.config.preprocessing == PREPROCESSING  # that of the media, not of the run's configuration
    result = evaluate_run(run.path, split="validation", subsets=("av", "avt"))
    assert result.subsets["avt"].scores.count == 4
    alone = export_checkpoint(run.path, out=tmp_path / "alone", encoders=True)
    for folder in (run.exports / "best", alone):  # not of the same step
        over_features = answers(folder, features, tmp_path / f"{folder.name}-features")
        over_media = answers(folder, tiny_shards, tmp_path / f"{folder.name}-media")
        assert over_media.keys() == over_features.keys()
        for key, row in over_media.items():
            assert row == pytest.approx(over_features[key], abs=1e-3)
        Predictor.from_pretrained(folder, device="cpu")
    with pytest.raises(UserError, match="give the model whose encoders made them"):
        encoders_of_model(run.exports / "best")


def test_a_model_of_media_refuses_features_and_one_of_features_those_of_other_encoders(
    features: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="they hold features, this model was trained on media"):
        evaluate(features.parent / "model", of(features, "data.protocol=all").data, split="validation")
    data = config_for_shards(of(features), ShardDataset([features]))
    save_model(build_model(data.model, ["angry", "happy", "sad"], PREPROCESSING, None, None), None, tmp_path / "m")
    index = read_index(features)
    for change, complaint in (({"video_encoder": "x"}, "their video features"), ({"video_hz": "5.0"}, "video_hz=5.0")):
        for shard in index.shards:
            (tmp_path / shard.name).unlink(missing_ok=True)
            (tmp_path / shard.name).hardlink_to(features / shard.name)
        write_index(tmp_path, index.model_copy(update={"options": index.options | change}))
        with pytest.raises(UserError, match=complaint):
            evaluate(tmp_path / "m", of(tmp_path, "data.protocol=all").data, split="validation")
        with pytest.raises(UserError, match=f"differ in {next(iter(change))}"):
            config_for_shards(of(features), ShardDataset([features, tmp_path]))


def test_the_shards_decide_what_a_run_reads(features: Path, tiny_shards: Path, tmp_path: Path) -> None:
    media, stored = ShardDataset([tiny_shards]), ShardDataset([features])
    config = of(features, "data.max_seconds=6", "data.video_hz=9")
    assert config_for_shards(config, media) is config
    found = config_for_shards(config, stored)
    assert {name: getattr(found.model, name).kind for name in ("audio", "video", "text")} == dict.fromkeys(
        ("audio", "video", "text"), "features"
    )
    assert (found.data.max_seconds, found.data.video_hz, found.data.max_tokens) == (0.5, 4.0, 12)
    assert config_for_shards(of(features, "data.max_seconds=0.3"), stored).data.max_seconds == 0.3
    with pytest.raises(UserError, match=r"model\.video\.kind: features, but data\.shards holds media"):
        config_for_shards(of(tiny_shards, "model.video.kind=features"), media)


def test_a_modality_without_features_has_to_be_switched_off(features: Path, tmp_path: Path) -> None:
    index = read_index(features)
    silent = [
        shard.model_copy(
            update={
                "samples": [
                    s.model_copy(update={"members": {k: v for k, v in s.members.items() if k != "text.npy"}})
                    for s in shard.samples
                ]
            }
        )
        for shard in index.shards
    ]
    for shard in silent:
        (tmp_path / shard.name).hardlink_to(features / shard.name)
    write_index(tmp_path, index.model_copy(update={"shards": silent}))
    with pytest.raises(UserError, match=r"model\.use_text: data\.shards holds no text features"):
        config_for_shards(of(tmp_path), ShardDataset([tmp_path]))
    assert not config_for_shards(of(tmp_path, "model.use_text=false"), ShardDataset([tmp_path])).model.use_text
    write_index(tmp_path, index.model_copy(update={"options": {}}))
    with pytest.raises(UserError, match="does not have 'sample_rate'; run `dual-hpc extract` again"):
        config_for_shards(of(tmp_path), ShardDataset([tmp_path]))
