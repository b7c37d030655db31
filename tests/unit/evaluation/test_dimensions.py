"""Dimensions: what is trained on, how answers are scored, and the way through evaluation, file and report."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from rich.console import Console

from dual_hpc.config import RunConfig, load_config
from dual_hpc.config.schema import DataConfig, ModelConfig
from dual_hpc.errors import UserError
from dual_hpc.evaluation.dimension_scores import dimension_scores, mean_concordance
from dual_hpc.evaluation.dimensions import concordance, dimension_targets, dimension_values, dimensions_by_key
from dual_hpc.evaluation.prediction_file import read_predictions, write_predictions
from dual_hpc.evaluation.predictions import Predictions
from dual_hpc.evaluation.protocols import protocol_of
from dual_hpc.evaluation.report import markdown
from dual_hpc.evaluation.run import evaluate
from dual_hpc.evaluation.selection import check_selecting
from dual_hpc.model import build_model, build_tokenizer, save_model
from dual_hpc.training.data import TrainingData
from dual_hpc.training.step import inputs
from dual_hpc.training.validation import selection_score, validate
from launch.cli.score_table import reliance_line, score_table
from tests.unit.evaluation.protocols_corpus import utterance
from tests.unit.training.fakes import World

DOCUMENT = {
    "name": "vad",
    "classes": {"angry": ["ang"], "happy": ["hap", "exc"], "neutral": ["neu"], "sad": ["sad"]},
    "folds": {"by": "session"},
    "target": "regression",
    "shared": {"speaker": "test"},  # the shards of these tests call all speakers F and M
}
ALONE = {**DOCUMENT, "name": "vad-alone", "classes": {"any": ["ang", "hap", "exc", "neu", "sad", "xxx"]}}
SAMPLES = arrays.arrays(np.float64, 12, elements=st.floats(-50, 50))


def data_of(**changes: Any) -> DataConfig:
    return DataConfig(protocol="vad", protocol_definition={**DOCUMENT, **changes})


@given(SAMPLES, SAMPLES)
def test_concordance_is_lin_s_formula_and_bounded(x: np.ndarray, y: np.ndarray) -> None:
    below = x.var() + y.var() + (x.mean() - y.mean()) ** 2
    found = concordance(x, y)
    assert -1 - 1e-9 <= found <= 1 + 1e-9 and concordance(x, x) == pytest.approx(1)
    if below > 1e-6:
        assert found == pytest.approx(2 * np.mean((x - x.mean()) * (y - y.mean())) / below, abs=1e-9)
        assert found == pytest.approx(concordance(y, x), abs=1e-9)


def test_a_constant_answer_and_a_shifted_one_are_told_from_a_right_one() -> None:
    truth = np.array([1.0, 2, 3, 4, 5])
    assert concordance(truth, np.full(5, 3.0)) == 0 and concordance(truth, 6 - truth) == pytest.approx(-1)
    assert concordance(truth, truth + 2) == pytest.approx(2 * 2 / (2 + 2 + 4))
    assert concordance(truth + 1e6, truth + 1e6 + 2) == pytest.approx(0.5)
    assert np.isnan(concordance(truth[:0], truth[:0]))


def test_training_is_on_class_and_values_with_the_scale_of_those_that_train() -> None:
    some = [
        utterance(0, label="ang", valence=1.0, arousal=4.0, dominance=3.0),
        utterance(1, label="sad", valence=3.0, arousal=2.0),
        utterance(2, label="neu", arousal=3.0, dominance=5.0),
        utterance(3, label="hap", valence=99.0),
    ]
    soft, scales = dimension_targets(protocol_of(data_of(), some), some, np.array([0, 1, 2]))
    assert scales == {"valence": [2.0, 1.0], "arousal": [3.0, pytest.approx((2 / 3) ** 0.5)], "dominance": [4.0, 1.0]}
    rows = soft.of(np.array([1, 3, -1]))
    np.testing.assert_array_equal(rows[0], np.array([0, 0, 0, 1, 3, 2, np.nan], np.float32))
    np.testing.assert_array_equal(rows[1:], [[0, 0, 0, 0, np.nan, np.nan, np.nan]] * 2)
    assert dimensions_by_key(("valence", "dominance"), some, np.array([1, 2])) == {"u1": [3.0, None], "u2": [None, 5.0]}
    assert dimension_values(some, np.array([], np.int64), ("valence",)).shape == (0, 1)


@pytest.mark.parametrize(("values", "why"), [((None, None), "no utterance has it"), ((2.0, 2.0), "all have 2")])
def test_a_dimension_that_cannot_be_learned_is_refused(values: tuple[float | None, ...], why: str) -> None:
    some = [utterance(n, label="ang", valence=value, arousal=n, dominance=n) for n, value in enumerate(values)]
    with pytest.raises(UserError, match=rf"trains on valence, and of the utterances that train {why}"):
        dimension_targets(protocol_of(data_of(), some), some, np.array([0, 1]))
    left = protocol_of(data_of(dimensions=["dominance", "arousal"]), some)
    assert list(dimension_targets(left, some, np.array([0, 1]))[1]) == ["arousal", "dominance"]


REFUSED: dict[str, dict[str, Any]] = {
    "are learned by `target: regression` alone": {"target": "class", "dimensions": ["valence"]},
    "give two or more": {"target": "class", "classes": {"any": ["ang"]}},
    "dimensions": {"dimensions": ["joy"]},
    "one is there twice": {"dimensions": ["valence", "valence"]},
    "scales of their own": {
        "classes": None,
        "corpora": {one: {"classes": {"x": ["a"], "y": ["b"]}} for one in ("iemocap", "meld")},
    },
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_protocol_of_dimensions_that_cannot_be_meant_is_refused(why: str) -> None:
    changed = {key: value for key, value in {**DOCUMENT, **REFUSED[why]}.items() if value is not None}
    with pytest.raises(UserError, match=why):
        protocol_of(DataConfig(protocol="vad", protocol_definition=changed), [])


def test_weights_are_chosen_by_what_is_learned() -> None:
    some = [utterance(n, label="ang", session=n) for n in range(1, 3)]
    both = protocol_of(data_of(), some)
    alone = protocol_of(DataConfig(protocol="vad", protocol_definition=ALONE), some)
    plain = protocol_of(DataConfig(protocol="iemocap4"), some)
    for by, protocol in (("ua", both), ("ccc", both), ("ccc", alone), ("wa", plain)):
        check_selecting(by, protocol)
    with pytest.raises(UserError, match=r"ccc is of dimensions, and data\.protocol=iemocap4 learns none"):
        check_selecting("ccc", plain)
    with pytest.raises(UserError, match="vad-alone has one; use ccc"):
        check_selecting("ua", alone)


def test_scores_are_over_what_is_known_with_intervals_by_dialogue() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(3, 1, 60)
    answers = np.stack([truth + rng.normal(0, 0.5, 60), rng.normal(0, 1, 60)], axis=1).astype(np.float32)
    keys = [f"u{n}" for n in range(60)]
    found = Predictions(keys, np.zeros(60, np.int64), np.ones((60, 1), np.float32), answers)
    known = {key: [float(value), None] for key, value in list(zip(keys, truth, strict=True))[:50]}
    dialogues = {key: f"d{n // 5}" for n, key in enumerate(keys)}
    scored = dimension_scores(found, ("valence", "arousal"), known, dialogues)
    assert list(scored) == ["valence"] and scored["valence"].count == 50
    assert scored["valence"].values["ccc"] == pytest.approx(concordance(truth[:50], answers[:50, 0]))
    assert scored["valence"].values["mae"] == pytest.approx(np.abs(truth[:50] - answers[:50, 0]).mean())
    for name, (low, high) in scored["valence"].interval.items():
        assert low < scored["valence"].values[name] < high
    assert mean_concordance(found, known) == pytest.approx(scored["valence"].values["ccc"] / 2)


@pytest.mark.parametrize("document", [DOCUMENT, ALONE])
def test_a_model_with_dimensions_from_shards_to_report_and_back(
    document: dict[str, Any], shards: Path, tmp_path: Path
) -> None:
    labels = list(document["classes"])
    prepared = {"image_size": 32, "max_seconds": 2.0, "max_tokens": 16}
    config = ModelConfig(hidden_size=16, num_heads=2, residual_layers=1, decoder_layers=1)
    tokenizer = build_tokenizer(["so it goes", "so it never goes"], minimum_count=1)
    scales = {"valence": [3.0, 0.8]}
    media = {"sample_rate": 16_000, "video_hz": 5.0, **prepared}
    model = build_model(config, labels, media, [3] * len(labels), tokenizer, dimensions=scales)
    save_model(model, tokenizer, tmp_path / "model")
    small = {"workers": 0, "micro_batch": 3, "bad_sample_limit": 1, "test_fold": 5, **prepared}
    data = DataConfig(shards=[str(shards)], protocol="vad", protocol_definition=document, **small)
    result = evaluate(tmp_path / "model", data)
    scored = result.subsets["avt"].dimensions["valence"]
    assert scored.count == result.about["count"] and -1 <= scored.values["ccc"] <= 1
    text = markdown(result)
    assert "| valence, {A,T} |" in text and ("F1 per class" in text) == (len(labels) > 1)
    console = Console(width=200, file=io.StringIO())
    console.print(score_table(result))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "CCC valence" in shown and ("WA" in shown) == ("majority" in shown) == (len(labels) > 1)
    assert (reliance_line(result) is None) == (len(labels) == 1)
    assert result.to_json()["subsets"]["avt"]["dimensions"]["valence"]["mae"] == scored.values["mae"]
    assert result.predictions is not None
    path = tmp_path / "a_predictions.jsonl"
    write_predictions(path, result.predictions)
    again = read_predictions(path)
    answered = result.predictions.found["avt"].keys
    assert again.dimensions == {key: result.predictions.dimensions[key] for key in answered}
    for name, one in result.predictions.found.items():
        if one.keys:
            assert one.dimensions is not None
            np.testing.assert_array_equal(again.found[name].dimensions, one.dimensions)
    path.write_text(path.read_text().replace('"dimensions": [', '"dimensions": [1.0, ', 2))
    with pytest.raises(UserError, match="not a whole file of predictions"):
        read_predictions(path)


def test_a_run_trains_on_them_and_chooses_by_them(shards: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer").mkdir()
    prepared = {"image_size": 32, "max_seconds": 2.0, "max_tokens": 16, "global_batch": 4, "micro_batch": 2}
    definition = {**DOCUMENT, "dimensions": ["valence"], "validation": {"fold": "next"}}
    tree = {"shards": [str(shards)], "protocol": "vad", "protocol_definition": definition, "test_fold": 5, "workers": 0}
    small = {"hidden_size": 16, "num_heads": 2, "residual_layers": 1, "decoder_layers": 1}
    config = RunConfig.model_validate(
        {"data": {**tree, **prepared, "bad_sample_limit": 1}, "model": small, "training": {"select_by": "ccc"}}
    )
    data = TrainingData.open(config, World(), tmp_path / "tokenizer")  # type: ignore[arg-type]
    values = data.shard_set.utterances
    trained = [values[number].valence for number in data.train.tolist()]
    assert data.dimensions == {"valence": [pytest.approx(np.mean(trained)), pytest.approx(np.std(trained))]}
    arguments = (data.preprocessing(), data.class_counts, data.tokenizer)
    model = build_model(config.model, data.labels, *arguments, dimensions=data.dimensions)
    batch = next(iter(data.train_loader(None).micro_batches()))
    given = inputs(batch, ("durations",), World.device)["labels"]
    known = [value for value in data.validation_dimensions.values()]
    assert given.shape == (2, 5) and [row[4] for row in given.tolist()] == [
        next(one.valence for one in values if one.key == key) for key in batch["keys"]
    ]
    assert len(known) == len(data.validation) and all(value[0] is not None for value in known)
    found = validate(model, data.validation_loader(), config, 4, World(), dimensions=data.validation_dimensions).scores  # type: ignore[arg-type]
    assert -1 <= selection_score(found, config) <= 1 and selection_score(found, config) == found["val/av/ccc"]
    by_loss = config.model_copy(update={"training": config.training.model_copy(update={"select_by": "loss"})})
    assert selection_score(found, by_loss) == found["val/av/loss"] > 0
    with pytest.raises(UserError, match="learns none"):
        TrainingData.open(
            config.model_copy(
                update={
                    "data": config.data.model_copy(
                        update={"protocol_definition": {**definition, "target": "class", "dimensions": []}}
                    )
                }
            ),
            World(),  # type: ignore[arg-type]
            tmp_path / "tokenizer",
        )


def test_the_file_of_a_protocol_may_ask_for_dimensions(tmp_path: Path) -> None:
    (tmp_path / "vad.yaml").write_text(
        "classes: {any: [ang, xxx]}\nfolds: {by: session}\ntarget: regression\ndimensions: [arousal]\n"
    )
    config = load_config(None, [f"data.protocol={tmp_path / 'vad.yaml'}"])
    protocol = protocol_of(config.data, [])
    assert protocol.dimensions == ("arousal",)
    for by in ("loss", "ccc"):
        check_selecting(by, protocol)
    with pytest.raises(UserError, match="is of classes"):
        check_selecting("ua", protocol)
