"""The classical baseline: features of sound that know what they should, and an SVM that never sees the test split."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dual_hpc.config import load_config
from dual_hpc.config.schema import DataConfig
from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.evaluation.classical import run as classical
from dual_hpc.evaluation.classical.features import egemaps, mfcc_statistics
from dual_hpc.evaluation.classical.run import evaluate_classical
from dual_hpc.evaluation.classical.svm import COSTS, choose_svm
from dual_hpc.evaluation.prediction_file import read_predictions
from dual_hpc.evaluation.protocols import get_protocol
from dual_hpc.evaluation.report_files import rewrite_reports
from launch.cli.main import main as command
from tests.unit.evaluation.conftest import BROKEN


def data_of(shards: Path, **changes: object) -> DataConfig:
    return load_config("demo").data.model_copy(update={"shards": [str(shards)], **changes})


def tone(hz: float, seconds: float = 0.7) -> np.ndarray:
    times = np.arange(int(16_000 * seconds)) / 16_000
    noise = np.random.default_rng(0).normal(0, 0.01, len(times))
    return (0.3 * np.sin(2 * np.pi * hz * times) + noise).astype(np.float32)


def test_mfcc_statistics_know_the_sound_and_not_its_level() -> None:
    low, loud, high = (mfcc_statistics(wave) for wave in (tone(150), 3 * tone(150), tone(900)))
    assert low.shape == (160,) and np.isfinite(low).all()
    np.testing.assert_allclose(low, loud, atol=0.05)
    assert np.abs(low - high).max() > 1
    assert np.isfinite(mfcc_statistics(np.zeros(50, np.float32))).all()


def test_the_statistics_of_a_steady_sound_do_not_depend_on_its_length() -> None:
    short, long = (mfcc_statistics(tone(150, seconds)) for seconds in (0.7, 1.4))
    np.testing.assert_allclose(short[:20], long[:20], atol=1)


def test_c_is_chosen_by_the_validation_split_and_the_answers_are_shares() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(120) % 3
    x = rng.normal(0, 1.0, (120, 6)) + np.eye(3)[y] @ rng.normal(0, 2, (3, 6))
    svm = choose_svm((x[:80], y[:80]), (x[80:], y[80:]), 4)
    assert set(svm.tried) == set(COSTS) and svm.tried[svm.cost] == max(svm.tried.values()) > 0.7
    shares = svm.probabilities(x)
    assert shares.dtype == np.float32 and shares.shape == (120, 4) and not shares[:, 3].any()
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-6)
    two = choose_svm((x[y < 2], y[y < 2]), (x[y < 2], y[y < 2]), 2)
    np.testing.assert_array_equal(two.probabilities(x[y < 2]).argmax(1), two.pipeline.predict(x[y < 2]))


def test_the_report_is_that_of_a_run_on_the_same_split(shards: Path, tmp_path: Path) -> None:
    result = evaluate_classical(data_of(shards), "mfcc", tmp_path)
    file = tmp_path / "test_best_predictions.jsonl"
    again = read_predictions(file)
    utterances = classical.ShardDataset([shards]).utterances
    protocol = get_protocol("iemocap4", utterances)
    numbers = protocol.split(utterances, data_of(shards))["test"]
    assert set(again.found["av"].keys) == {utterances[n].key for n in numbers} - {BROKEN}
    assert result.about["undecodable"] == 1 and result.about["reads"] == "a"
    assert "validation split; the test split chose nothing" in result.about["selection"]
    assert "majority" in result.baselines and result.text_reliance is None
    assert "This model was made without" in (tmp_path / "test_best.md").read_text()
    before = (tmp_path / "test_best.json").read_text()
    rewrite_reports(file)
    assert json.loads((tmp_path / "test_best.json").read_text()) == json.loads(before)


def test_sound_that_knows_the_class_is_recognised_and_the_test_split_chooses_nothing(
    shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The features of an utterance are planted: its class in all splits, then in all but the test."""
    calls: list[int] = []

    def planted(shard_set, numbers, labels, max_seconds, compute, advance):
        calls.append(len(numbers))
        rng = np.random.default_rng(len(calls))
        y = np.asarray(labels)
        known = y if len(calls) % 3 or not lie else (y + 1) % 4
        x = np.eye(4)[known] + rng.normal(0, 0.1, (len(y), 4))
        return classical.Part(np.arange(len(y)), x, y, [])

    monkeypatch.setattr(classical, "_part", planted)
    lie = False
    right = evaluate_classical(data_of(shards), "mfcc")
    assert right.subsets["av"].scores.values["ua"] == 1.0 and calls[2] < calls[0]
    lie = True
    wrong = evaluate_classical(data_of(shards), "mfcc")
    assert wrong.subsets["av"].scores.values["ua"] == 0.0
    assert wrong.about["checkpoint"] == right.about["checkpoint"]


def test_the_command_prints_its_table_and_what_chose_c(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "baseline",
        "--shards",
        str(shards),
        "--preset",
        "demo",
        "--out",
        str(tmp_path / "svm"),
        "data.test_fold=2",
    ]
    assert command(words) == 0
    said = capsys.readouterr().out
    assert "majority" in said and "chosen: the best UA of C" in said
    assert json.loads((tmp_path / "svm" / "test_best.json").read_text())["about"]["test_fold"] == 2
    assert command(["baseline", "--shards", str(shards), "--features", "mfc"]) == 2
    assert "--features: 'mfc' is not one of mfcc, egemaps" in capsys.readouterr().err


def test_shards_that_have_no_sound_are_refused(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = classical.Part(np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros(0, np.int64), [])
    monkeypatch.setattr(classical, "_part", lambda *_: empty)
    with pytest.raises(UserError, match="the training split has sound of fewer than two classes"):
        evaluate_classical(data_of(shards), "mfcc")


def test_egemaps_are_88_numbers_or_the_package_is_named() -> None:
    try:
        import opensmile  # noqa: F401
    except ImportError:
        with pytest.raises(EnvironmentFault, match=r"needs the package opensmile.*dual-hpc\[egemaps\].*licence"):
            egemaps(tone(150))
        return
    low, high = egemaps(tone(150)), egemaps(tone(900))
    assert low.shape == (88,) and np.isfinite(low).all() and np.abs(low - high).max() > 0.5
