"""The predictions as a file: the same bytes for the same answers, and every number of a report follows from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dual_hpc.errors import UserError
from dual_hpc.evaluation.prediction_file import read_predictions, write_predictions
from dual_hpc.evaluation.report_files import write_reports
from dual_hpc.evaluation.result import EvaluationResult
from dual_hpc.evaluation.run import ALL_SUBSETS, evaluate
from launch.cli.main import main
from tests.unit.evaluation.test_run import data_of


@pytest.fixture(scope="module")
def result(saved_model: Path, shards: Path) -> EvaluationResult:
    return evaluate(saved_model, data_of(shards), subsets=ALL_SUBSETS, robustness_seed=3)


@pytest.fixture
def folder(result: EvaluationResult, tmp_path: Path) -> Path:
    write_reports(tmp_path, "test_best", result)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_report_is_computed_again_from_the_predictions_alone(folder: Path) -> None:
    before = contents(folder)
    for name in before:
        if not name.endswith(".jsonl"):
            (folder / name).unlink()
    assert main(["report", str(folder)]) == 0
    after = contents(folder)
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] != before[name]} == set()


def test_a_line_is_an_utterance_with_its_label_and_the_probabilities_of_each_condition(
    folder: Path, result: EvaluationResult
) -> None:
    header, *rows = map(json.loads, (folder / "test_best_predictions.jsonl").read_text().splitlines())
    assert header["about"]["protocol"] == "iemocap4" and header["about"]["split"] == "test"
    assert header["about"]["dataset"] == result.about["dataset"] and header["utterances"] == len(rows) == 9
    assert [row["key"] for row in rows] == sorted(row["key"] for row in rows)
    first = rows[0]
    assert first["corpus"] == "iemocap" and first["dialogue"].startswith("Ses05") and first["speaker"] in "FM"
    assert first["label"] in header["classes"] and set(ALL_SUBSETS) <= first["predictions"].keys()
    assert "mismatched text" in header["conditions"]
    assert sum(first["predictions"]["av"]) == pytest.approx(1, abs=1e-6)


def test_what_is_read_is_what_was_written_to_the_last_bit(result: EvaluationResult, tmp_path: Path) -> None:
    assert result.predictions is not None
    write_predictions(tmp_path / "a_predictions.jsonl", result.predictions)
    again = read_predictions(tmp_path / "a_predictions.jsonl")
    for name, one in result.predictions.found.items():
        assert again.found[name].keys == one.keys
        if one.keys:
            np.testing.assert_array_equal(again.found[name].probabilities, one.probabilities)
            np.testing.assert_array_equal(again.found[name].truth, one.truth)
    write_predictions(tmp_path / "b_predictions.jsonl", again)
    assert (tmp_path / "a_predictions.jsonl").read_bytes() == (tmp_path / "b_predictions.jsonl").read_bytes()


def test_a_plain_evaluation_leaves_the_predictions_of_the_suite_and_they_do_not_mix(
    folder: Path, saved_model: Path, shards: Path
) -> None:
    suite = (folder / "test_best_robustness_predictions.jsonl").read_bytes()
    write_reports(folder, "test_best", evaluate(saved_model, data_of(shards)))
    plain = (folder / "test_best.json").read_bytes()
    assert main(["report", str(folder)]) == 0
    assert (folder / "test_best_robustness_predictions.jsonl").read_bytes() == suite
    assert (folder / "test_best.json").read_bytes() == plain and b'"robustness"' not in plain


WRONG_ABOUT: list[dict[str, Any]] = [
    {"seed": [1]},
    {"seed": "one"},
    {"seed": True},
    {"test_fold": {}},
    {"test_fold": 1.5},
]


def damaged(text: str) -> list[str]:
    header, *rows = text.splitlines()
    first = json.loads(rows[0])
    return [
        "",
        text[: len(text) // 2],
        "\n".join([header, *rows[:-1]]),
        "\n".join([header, rows[0], *rows[:-1]]),
        "\n".join([header.replace('"format": 1', '"format": 2'), *rows]),
        "\n".join([header, json.dumps({**first, "label": "unknown"}), *rows[1:]]),
        "\n".join([header, json.dumps({**first, "predictions": {"av": [1.0]}}), *rows[1:]]),
        "\n".join([header, rows[0].replace('"av": [0', '"av": [NaN, 0'), *rows[1:]]),
        "\n".join([header.replace('"subsets": [', '"subsets": ["x", '), *rows]),
        *(
            "\n".join([json.dumps({**json.loads(header), "about": {**json.loads(header)["about"], **about}}), *rows])
            for about in WRONG_ABOUT
        ),
        "\n".join([json.dumps({**json.loads(header), "classes": ["sad", "sad"], "class_counts": [1, 1]}), *rows]),
    ]


@pytest.mark.parametrize("number", range(15))
def test_a_damaged_file_is_refused_in_one_line(folder: Path, number: int, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder / "test_best_predictions.jsonl"
    file.write_text(damaged(file.read_text())[number])
    with pytest.raises(UserError, match="is not a whole file of predictions"):
        read_predictions(file)
    assert main(["report", str(file)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_without_predictions_there_is_nothing_to_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert "holds no *_predictions.jsonl" in capsys.readouterr().err
    (tmp_path / "x.json").touch()
    assert main(["report", str(tmp_path / "x.json")]) == 2
    assert main(["report", str(tmp_path / "absent")]) == 2


def test_any_classifier_can_write_such_a_file(tmp_path: Path, shards: Path) -> None:
    """What a classical baseline does: probabilities of its own, by condition, and the same report."""
    from dual_hpc.data.dataset import ShardDataset
    from dual_hpc.evaluation.prediction_set import PredictionSet, result_of
    from dual_hpc.evaluation.predictions import Predictions
    from dual_hpc.evaluation.protocols import get_protocol

    protocol, utterances = get_protocol("iemocap4"), ShardDataset([shards]).utterances
    test = [utterances[n] for n in protocol.split(utterances, data_of(shards))["test"]]
    chosen = {one.key: one for one in test}
    truth = np.array([protocol.label_of(chosen[key]) for key in sorted(chosen)])
    answers = Predictions(sorted(chosen), truth, np.eye(4, dtype=np.float32)[truth])
    about = {"model": "mfcc + svm", "protocol": "iemocap4", "split": "test", "test_fold": 5, "reads": "a"}
    made = PredictionSet(about, protocol.classes, [4, 4, 4, 4], chosen, {"av": answers, "avt": answers}, ["av", "avt"])
    write_reports(tmp_path, "svm", result_of(made))
    assert json.loads((tmp_path / "svm.json").read_text())["subsets"]["av"]["ua"] == 1.0
    assert main(["report", str(tmp_path / "svm_predictions.jsonl"), "--json"]) == 0
