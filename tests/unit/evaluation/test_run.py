"""A saved model on real shards: numbers, report files, and what is refused."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from dual_hpc.config import load_config
from dual_hpc.config.schema import DataConfig, ModelConfig
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.format.index import read_index
from dual_hpc.data.loader import EvalLoader
from dual_hpc.errors import UserError
from dual_hpc.evaluation.predictions import predict_views
from dual_hpc.evaluation.protocols import get_protocol
from dual_hpc.evaluation.report import markdown
from dual_hpc.evaluation.run import ALL_SUBSETS, evaluate, evaluate_run
from dual_hpc.model import build_model, load_model, save_model
from dual_hpc.run.directory import RunDir
from launch.cli.main import main

PREPROCESSING = {"image_size": 32, "max_seconds": 2.0, "max_tokens": 16}


def data_of(shards, **changes) -> DataConfig:
    small = dict(shards=[str(shards)], protocol="iemocap4", workers=0, micro_batch=3, bad_sample_limit=1)
    return DataConfig(**(small | PREPROCESSING | changes))


@pytest.fixture(scope="session")
def result(saved_model, shards):
    return evaluate(saved_model, data_of(shards), subsets=ALL_SUBSETS)


def test_only_the_labelled_utterances_of_the_test_fold_are_scored(result):
    # Ten carry a label of the protocol, one of them cannot be decoded.
    assert result.about["count"] == 9
    assert result.about["undecodable"] == 1
    assert all(one.scores.count == 9 for one in result.subsets.values())


def test_without_video_in_the_shards_looking_at_it_changes_nothing(result):
    scored = {subset: one.scores.confusion for subset, one in result.subsets.items()}
    np.testing.assert_array_equal(scored["a"], scored["av"])
    np.testing.assert_array_equal(scored["at"], scored["avt"])


def test_baselines_know_the_classes_of_the_training_split(result):
    # The saved model was made with counts 10, 20, 40, 30: the majority is "neutral".
    truth = result.subsets["av"].scores.support
    assert result.baselines["majority"]["wa"] == pytest.approx(truth[2] / truth.sum())
    assert result.baselines["majority"]["ua"] == pytest.approx(1 / 4)
    assert 0 < result.baselines["class prior"]["ua"] < 0.5


def test_text_reliance_is_the_difference_of_the_two_headlines(result, saved_model, shards):
    gains = result.text_reliance
    with_text, without = (result.subsets[name].scores.values for name in ("avt", "av"))
    assert gains == {name: with_text[name] - without[name] for name in with_text}
    assert evaluate(saved_model, data_of(shards), subsets=("a",)).text_reliance is None


def test_text_alone_and_mismatched_text_accompany_the_scores(result):
    assert result.baselines["text alone"] == result.subsets["t"].scores.values
    assert list(result.controls) == ["mismatched text"]  # these shards have no video to exchange
    control = result.controls["mismatched text"]
    assert control.shown == "avt" and 0 < control.scores.count <= 9 and 0 <= control.flips <= 1


def test_a_model_without_text_has_no_text_reliance_and_the_report_says_why(shards, tmp_path):
    config = ModelConfig(hidden_size=16, num_heads=2, residual_layers=1, decoder_layers=1, use_text=False)
    labels = list(get_protocol("iemocap4").classes)
    save_model(build_model(config, labels, {**PREPROCESSING, "video_hz": 5.0}, None, None), None, tmp_path)
    result = evaluate(tmp_path, data_of(shards))
    assert result.text_reliance is None and not result.controls and "text alone" not in result.baselines
    assert "This model was made without {T}." in markdown(result)


def test_scripted_and_improvised_are_scored_apart(result):
    styles = result.subsets["av"].styles
    assert {name: found.count for name, found in styles.items()} == {"scripted": 5, "improvised": 4}
    assert (styles["scripted"].confusion + styles["improvised"].confusion).tolist() == (
        result.subsets["av"].scores.confusion.tolist()
    )


@pytest.mark.parametrize("ranks", [2, 4, 7])
def test_any_number_of_ranks_gives_the_same_predictions(saved_model, shards, ranks):
    model, tokenizer = load_model(saved_model)
    shard_set = ShardDataset([shards])
    protocol = get_protocol("iemocap4")
    data = data_of(shards)
    numbers = protocol.split(shard_set.utterances, data)["test"]
    labels = [protocol.label_of(shard_set.utterances[n]) for n in numbers]

    def part(rank, size):
        return predict_views(
            model, EvalLoader(shard_set, numbers, labels, data, tokenizer, rank, size, 2), {"all": dict}
        )["all"]

    whole = part(0, 1)
    parts = [part(rank, ranks) for rank in range(ranks)]
    joined = predict_views(
        model,
        [],
        {"all": dict},
        gather=lambda _: [(one.keys, one.truth, one.probabilities, np.zeros((0, 1))) for one in parts],
    )["all"]
    assert joined.keys == whole.keys == sorted(whole.keys)
    np.testing.assert_array_equal(joined.truth, whole.truth)
    np.testing.assert_allclose(joined.probabilities, whole.probabilities, atol=1e-5)


def test_predicting_leaves_the_model_in_the_mode_it_was_in(saved_model):
    model, _ = load_model(saved_model)
    for training in (True, False):
        model.train(training)
        predict_views(model, [], {"all": dict})
        assert model.training is training


def test_a_run_s_best_weights_are_reported_in_its_directory(saved_model, shards, tmp_path):
    overrides = [f"store={tmp_path}", "data.bad_sample_limit=1", "data.workers=0", f"data.shards=[{shards}]"]
    run = RunDir.create(tmp_path / "run", load_config("iemocap4", overrides))
    with pytest.raises(UserError, match="no exported weights 'best'; there are: none yet"):
        evaluate_run(run.path)
    run.exports.mkdir()
    (run.exports / "best").symlink_to(saved_model)
    for path in ("best/", "../export/best", str(saved_model), ""):  # names, not paths: the report is called after it
        with pytest.raises(UserError, match="there are: best"):
            evaluate_run(run.path, checkpoint=path)
    result = evaluate_run(run.path)
    stored = json.loads((run.reports / "test_best.json").read_text())
    assert stored["subsets"]["av"]["ua"] == result.subsets["av"].scores.values["ua"]
    written = sorted(path.name for path in run.reports.iterdir())
    endings = (".json", ".md", ".png", "_predictions.jsonl", "_reliability.png")
    assert written == [f"test_best{ending}" for ending in endings]


def test_under_all_labels_that_the_model_does_not_know_are_left_out_and_named(saved_model, shards):
    result = evaluate(saved_model, data_of(shards, protocol="all"), split="all", subsets=("a",))
    assert result.about["left_out"] == "labels ang, exc, hap, neu"  # the model calls them angry, happy, neutral
    assert result.about["count"] == 10


def test_a_split_of_which_nothing_can_be_decoded_is_no_result(saved_model, shards, tmp_path):
    damaged = shutil.copytree(shards, tmp_path / "damaged")
    for shard in read_index(damaged).shards:
        with open(damaged / shard.name, "r+b") as tar:
            for offset, size in (span for sample in shard.samples for span in sample.members.values()):
                tar.seek(offset)
                tar.write(bytes(size))
    with pytest.raises(UserError, match="none of the 10 utterances of the test split can be decoded"):
        evaluate(saved_model, data_of(damaged, bad_sample_limit=10))


@pytest.mark.parametrize(
    ("changes", "arguments", "words"),
    [
        ({"protocol": "iemocap6"}, {}, "data.protocol: iemocap6 has the classes"),
        ({"protocol": "meld7"}, {}, "data.protocol: meld7"),
        ({}, {"split": "tset"}, "split 'tset' is unknown"),
        ({}, {"subsets": ("ax",)}, "modalities 'ax'"),
        ({"bad_sample_limit": 0}, {}, "bad_sample_limit"),
    ],
)
def test_what_cannot_be_scored_is_refused(saved_model, shards, changes, arguments, words):
    with pytest.raises(UserError, match=words):
        evaluate(saved_model, data_of(shards, **changes), **arguments)


@pytest.fixture
def scored(saved_model, shards, tmp_path, monkeypatch):
    """Runs `evaluate` on the saved model in an empty folder."""
    monkeypatch.chdir(tmp_path)
    given = ["--model", str(saved_model), "--shards", str(shards), "--protocol", "iemocap4", "--split", "validation"]
    return lambda *words: main(["evaluate", *given, *words])


def test_the_report_of_a_model_goes_where_it_is_asked_to(scored, tmp_path, capsys):
    for _ in range(2):  # the second time over the first
        assert scored("--out", "out é/sub", "--subsets", "a,at", "--robustness") == 0
    endings = (".json", ".md", ".png", "_predictions.jsonl")
    expected = {f"validation{part}{ending}" for part in ("", "_robustness") for ending in endings}
    expected.add("validation_reliability.png")
    assert {path.name for path in (tmp_path / "out é/sub").iterdir()} == expected
    assert "robustness, seed 0" in capsys.readouterr().out


def test_a_model_in_a_folder_of_brackets_has_its_table(scored, saved_model, tmp_path, capsys):
    (tmp_path / "m[").mkdir()
    (tmp_path / "m[" / "x]").symlink_to(saved_model)
    assert scored("--model", "m[/x]", "--subsets", "a") == 0
    assert "m[/x], validation split" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "file"], "--out: file is not a folder"),
        (["--seed", "3"], "--seed needs --robustness"),
        (["--model", "run"], "--model: the run run has exported no model yet (run/export has neither best nor last)"),
        (["--subsets", ""], "modalities ''"),
        (["--subsets", "av,"], "modalities ''"),
    ],
)
def test_a_mistaken_command_is_one_line_that_says_what_to_change(scored, tmp_path, capsys, words, said):
    (tmp_path / "file").touch()
    (tmp_path / "run/export").mkdir(parents=True)
    assert scored(*words) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.splitlines()) == 1
