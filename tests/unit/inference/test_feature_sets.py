"""Features of several encoders in one folder: some are chosen, trained on side by side, and run in front of clips."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from dual_hpc.config import RunConfig, load_config
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.features import feature_source
from dual_hpc.data.loader import EvalLoader
from dual_hpc.errors import UserError
from dual_hpc.evaluation.run import evaluate_into
from dual_hpc.inference.packed import PackedPredictor
from dual_hpc.inference.predictor import Predictor
from dual_hpc.model import build_model, build_tokenizer, load_model, save_model
from dual_hpc.model.encoders.origin import load_encoders, recorded_encoders, save_encoders
from dual_hpc.model_manifest import write_manifest
from dual_hpc.training.shard_config import config_for_shards, sets_of_config
from shards.encoders import encoders_of_model, in_bf16
from shards.extraction import extract
from shards.options import PackOptions
from shards.packing import pack
from tests.unit.inference.conftest import write_clip

PREPROCESSING = {"sample_rate": 16_000, "image_size": 32, "video_hz": 5.0, "max_seconds": 2.0, "max_tokens": 16}
CLIPS = {"joy": 1.3, "fear": 0.9, "calm": 2.6}
NO_PICTURES = ("model.use_video=false",)
NO_WORDS = ("model.use_text=false",)
ENCODERS = {  # set -> settings of the encoders that make it, and the words that they know
    "base": ((), "it is joy"),
    "slow": (("model.audio.kind=melcnn", *NO_PICTURES, *NO_WORDS), None),
    "other": (NO_WORDS, None),
    "words": (("model.use_audio=false", *NO_PICTURES), "calm is it"),
}


class Sets:
    """Clips, their shards, and a folder of four sets of features."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.media, self.features = folder, folder / "media", folder / "features"
        rows = []
        for label, seconds in CLIPS.items():
            write_clip(folder / f"{label}.mp4", seconds)
            media = f"{label}.mp4"
            rows.append({"id": label, "audio": media, "video": media, "label": label, "text": f"it is {label}"})
        (folder / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)))
        pack("manifest", folder / "mine.jsonl", self.media, PackOptions(video_size=48), progress=False)
        for seed, (name, (settings, said)) in enumerate(ENCODERS.items()):
            torch.manual_seed(seed)
            config = load_config("demo", ["model.hidden_size=16", "model.num_heads=2", *settings])
            tokenizer = None if said is None else build_tokenizer([said], minimum_count=1)
            model = build_model(config.model, ["a", "b"], PREPROCESSING, None, tokenizer)
            save_model(model, tokenizer, folder / name)
            extract(self.media, self.features / name, encoders_of_model(folder / name))

    def config(self, *settings: str) -> tuple[RunConfig, ShardDataset]:
        config = load_config("demo", [f"data.shards=[{self.features}]", *settings])
        dataset = ShardDataset([self.features], sets_of_config(config))
        return config_for_shards(config, dataset), dataset

    def train(self, folder: Path, *settings: str) -> Path:
        config, dataset = self.config(*settings)
        source, packed = feature_source(dataset), dataset.preparation
        assert source is not None and packed is not None and source.origin is not None
        torch.manual_seed(1)
        records = {"preparation": packed.to_json(), "feature_encoders": source.origin}
        save_model(build_model(config.model, sorted(CLIPS), source.preprocessing, None, None, **records), None, folder)
        return folder


BOTH = ("model.audio.features=[slow,base]", "model.video.features=[base,other]", "model.text.features=[base]")


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Sets:
    return Sets(tmp_path_factory.mktemp("sets"))


def packed(model: Path, shards: Path) -> dict[str, list[float]]:
    found = PackedPredictor(model, [shards], "cpu").records()
    return {row["input"]: list(row["probabilities"].values()) for row in found}


def raw(model: Path, sets: Sets) -> dict[str, list[float]]:
    predictor = Predictor.from_pretrained(model, "cpu")
    found = {label: predictor.predict(sets.folder / f"{label}.mp4", f"it is {label}") for label in CLIPS}
    return {label: list(answer.probabilities.values()) for label, answer in found.items()}


def assert_near(found: dict[str, list[float]], expected: dict[str, list[float]], within: float = 1e-3) -> None:
    assert found.keys() == expected.keys() and len({tuple(row) for row in expected.values()}) == len(CLIPS)
    for key, row in expected.items():
        assert found[key] == pytest.approx(row, abs=within)


def arrays(dataset: ShardDataset) -> dict[str, torch.Tensor]:
    data = load_config("demo").data.model_copy(update={"workers": 0, "micro_batch": 3, "max_seconds": 2.0})
    loader = EvalLoader(dataset, range(3), [0] * 3, data, None)
    (batch,) = loader
    return batch


def test_chosen_sets_lie_side_by_side_at_the_rate_of_the_faster(sets: Sets) -> None:
    config, dataset = sets.config(*BOTH)
    both, base, slow = (
        arrays(one) for one in (dataset, *(ShardDataset([sets.features / n]) for n in ("base", "slow")))
    )
    width = base["audio"].shape[2]
    assert config.model.audio.config["rate_hz"] == 25.0
    assert config.model.audio.config["width"] == width + slow["audio"].shape[2] == both["audio"].shape[2]
    torch.testing.assert_close(both["audio"][..., :width], base["audio"], rtol=0, atol=0)
    assert both["audio_lengths"].tolist() == base["audio_lengths"].tolist() > slow["audio_lengths"].tolist()
    middle = (slow["audio"][0, 3].float() + 3 * slow["audio"][0, 4].float()) / 4  # at 12.5 Hz; step 8 at 25 Hz
    torch.testing.assert_close(both["audio"][0, 8, width:].float(), middle, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(both["text"], base["text"], rtol=0, atol=0)


def test_only_what_is_chosen_is_read(sets: Sets, tmp_path: Path) -> None:
    kept = shutil.copytree(sets.features, tmp_path / "features")
    settings = [*NO_PICTURES, *NO_WORDS]
    config = load_config("demo", [f"data.shards=[{kept}]", "model.audio.features=[slow]", *settings])
    for name in ("base", "other", "words"):
        for tar in (kept / name).glob("*.tar"):
            tar.unlink()
    dataset = ShardDataset([kept], sets_of_config(config))
    assert list(dataset.features()) == ["audio"] and arrays(dataset)["audio"].any()
    assert dataset.dataset_id == ShardDataset([sets.features / "slow"]).dataset_id
    plain = config_for_shards(load_config("demo", settings), ShardDataset([sets.features / "slow"]))
    assert config_for_shards(config, dataset).model.audio.config == plain.model.audio.config


def test_features_shards_and_clips_are_answered_alike(sets: Sets, tmp_path: Path) -> None:
    model = sets.train(tmp_path / "model", *BOTH)
    expected = packed(model, sets.features)
    assert_near(packed(model, sets.media), expected)
    assert_near(raw(model, sets), expected)


def test_a_model_finds_its_sets_by_their_encoders_whatever_they_are_called(sets: Sets, tmp_path: Path) -> None:
    model = sets.train(tmp_path / "model", *BOTH)
    for name, called in {"base": "z", "slow": "y", "other": "a", "words": "x"}.items():
        shutil.copytree(sets.features / name, tmp_path / "renamed" / called)
    assert packed(model, tmp_path / "renamed") == packed(model, sets.features)
    alone = sets.train(tmp_path / "alone", "model.audio.features=[slow]", "model.use_video=false", *NO_WORDS)
    assert packed(alone, sets.features / "slow") == packed(alone, sets.features)
    with pytest.raises(UserError, match="their audio features are not of the encoder"):
        packed(model, sets.features / "base")


def test_the_model_alone_has_all_its_encoders(sets: Sets, tmp_path: Path) -> None:
    model = sets.train(tmp_path / "model", *BOTH)
    expected = packed(model, sets.features)
    records = recorded_encoders(load_model(model)[0].config.to_dict(), model)
    assert [sorted(record.encoders) for record in records] == [["audio", "text", "video"], ["audio"], ["video"]]
    save_encoders(load_encoders(records, ("audio", "video", "text"), model, load_model), model)
    write_manifest(model)
    away = [(sets.folder / name, tmp_path / f"{name}-away") for name in ENCODERS]
    for here, there in away:
        here.rename(there)
    try:
        assert_near(raw(model, sets), expected)
    finally:
        for here, there in away:
            there.rename(here)


def test_the_robustness_suite_perturbs_media_before_all_encoders(sets: Sets, tmp_path: Path) -> None:
    model = sets.train(tmp_path / "model", *BOTH)
    found = {}
    for name in ("media", "features"):
        data = load_config(None, ["data.protocol=all"]).data.model_copy(update={"shards": [str(sets.folder / name)]})
        result = evaluate_into(tmp_path / name, model, data, "all", ("av", "avt"), robustness_seed=3)
        assert result is not None and result.robustness is not None and result.predictions is not None
        found[name] = result.predictions.found
        titles = {one.perturbation.title for one in result.robustness.curves}
        assert ("babble" in titles) == (name == "media") and "audio missing" in titles
    for view, answers in found["features"].items():
        assert torch.allclose(
            torch.tensor(found["media"][view].probabilities), torch.tensor(answers.probabilities), atol=1e-3
        )


def test_encoders_that_ran_in_bf16_run_so_in_front_of_clips(sets: Sets, tmp_path: Path) -> None:
    extract(sets.media, tmp_path / "bf16", in_bf16(encoders_of_model(sets.folder / "base")), "float32")
    dataset = ShardDataset([tmp_path / "bf16"])
    source, config = feature_source(dataset), config_for_shards(load_config("demo"), dataset)
    assert source is not None
    torch.manual_seed(1)
    arguments = (config.model, sorted(CLIPS), source.preprocessing, None, None)
    model = tmp_path / "model"
    save_model(build_model(*arguments, feature_encoders=source.origin), None, model)
    expected = packed(model, tmp_path / "bf16")
    assert_near(packed(model, sets.media), expected, within=1e-2)
    made = Predictor.from_pretrained(model, "cpu").model.encoders[0]
    assert {p.dtype for one in made.modules.values() for p in one.parameters()} == {torch.bfloat16}
    records = recorded_encoders(load_model(model)[0].config.to_dict(), model)
    save_encoders(load_encoders(records, ("audio", "video", "text"), model, load_model), model)
    write_manifest(model)
    (sets.folder / "base").rename(tmp_path / "away")
    try:
        assert_near(packed(model, sets.media), expected, within=1e-2)
    finally:
        (tmp_path / "away").rename(sets.folder / "base")


def test_words_of_several_vocabularies_answer_features_alone(sets: Sets, tmp_path: Path) -> None:
    settings = ("model.audio.features=[base]", "model.video.features=[base]", "model.text.features=[base,words]")
    model = sets.train(tmp_path / "model", *settings)
    assert len(packed(model, sets.features)) == 3
    with pytest.raises(UserError, match=r"encoders of different vocabularies.*: it answers shards of features alone"):
        raw(model, sets)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ((), r"model\.audio\.features: .* audio features of base, other, slow; choose .*audio\.features=\[base\]"),
        (("model.audio.features=[whisper]",), r"no audio features of 'whisper'; it has such features of base, other"),
        (("model.audio.features=[words]",), r"no audio features of 'words'; it has such features of base, other, slow"),
        (("model.audio.features=[slow]",), r"model\.video\.features: .* video features of base, other; choose"),
    ],
)
def test_an_unknown_or_unclear_choice_is_refused(sets: Sets, settings: Sequence[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        sets.config(*settings)


def test_sets_without_what_the_run_reads_are_refused(sets: Sets, tmp_path: Path) -> None:
    shutil.copytree(sets.features / "slow", tmp_path / "features" / "slow")
    config = load_config("demo", [f"data.shards=[{tmp_path / 'features'}]"])
    with pytest.raises(UserError, match=r"model\.use_video: data\.shards holds no video features"):
        config_for_shards(config, ShardDataset([tmp_path / "features"], sets_of_config(config)))
    named = load_config("demo", [f"data.shards=[{sets.media}]", "model.audio.features=[slow]"])
    with pytest.raises(UserError, match=r"model\.audio\.features: data\.shards is not a folder of several sets"):
        config_for_shards(named, ShardDataset([sets.media], sets_of_config(named)))


def test_sets_of_other_utterances_or_preprocessing_are_refused(sets: Sets, tmp_path: Path) -> None:
    features = tmp_path / "features"
    shutil.copytree(sets.features / "base", features / "base")
    rows = (sets.folder / "mine.jsonl").read_text().splitlines()[:2]
    (sets.folder / "two.jsonl").write_text("\n".join(rows))
    pack("manifest", sets.folder / "two.jsonl", tmp_path / "two", PackOptions(video_size=48), progress=False)
    extract(tmp_path / "two", features / "slow", encoders_of_model(sets.folder / "slow"))
    choice = {"audio": ["base", "slow"], "video": ["base"], "text": ["base"]}
    with pytest.raises(UserError, match=r"base and .*slow hold features of other utterances \(3 and 2"):
        ShardDataset([features], choice)
    shutil.rmtree(features / "slow")
    shutil.copytree(sets.features / "slow", features / "slow")
    index = features / "slow" / "index.json"
    index.write_text(index.read_text().replace('"max_seconds":"2.0"', '"max_seconds":"3.0"'))
    with pytest.raises(UserError, match=r"the features base and slow were made with max_seconds=2\.0 and 3\.0"):
        feature_source(ShardDataset([features], choice))
