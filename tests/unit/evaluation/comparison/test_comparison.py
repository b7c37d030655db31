"""The table of a comparison: what it holds, what it refuses, and the files that are written of it."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dual_hpc.errors import UserError
from dual_hpc.evaluation.comparison.comparison import compare, with_reference
from dual_hpc.evaluation.comparison.figure import missing_text_curve
from dual_hpc.evaluation.comparison.files import markdown, write_comparison
from dual_hpc.evaluation.comparison.measures import RELIANCE, WORST, Measure
from dual_hpc.evaluation.comparison.models import Model, model_of, sample
from dual_hpc.evaluation.comparison.robustness import robustness_figure
from dual_hpc.evaluation.comparison.sampling import estimate
from dual_hpc.evaluation.metrics import METRICS, Metric
from dual_hpc.evaluation.perturbations.missing_modality import MISSING_MODALITY
from dual_hpc.evaluation.perturbations.suite import PlannedCurve
from dual_hpc.evaluation.prediction_file import write_predictions
from dual_hpc.evaluation.prediction_set import PredictionSet, RobustnessPlan
from launch.cli.main import main
from tests.unit.evaluation.comparison.made import corpus, predictions

WITH_TEXT = {"av": 0.5, "avt": 0.9, "mismatched text": 0.3}
WITHOUT = {"av": 0.7, "avt": 0.75, "mismatched text": 0.7}
NAMED = {"text": WITH_TEXT, "dual": WITHOUT}


def model(name: str, accuracy: dict[str, float], seeds: int = 1, folds: tuple[int, ...] = (5,)) -> Model:
    runs = [
        predictions(corpus(fold=fold), accuracy, fold, hash_of(name) + seed, {"test_fold": fold, "seed": seed})
        for seed in range(seeds)
        for fold in folds
    ]
    return model_of(name, runs)


def hash_of(name: str) -> int:
    return sum(map(ord, name)) * 100


def test_a_text_model_and_one_that_needs_none_are_told_apart_in_the_direction_of_each() -> None:
    found = compare([model("text", WITH_TEXT), model("dual", WITHOUT)])
    compared = found.differences[1]
    assert not found.differences[0]
    without, with_text = compared[Measure("UA", "av")], compared[Measure("UA", "avt")]
    assert without.estimate.low > 0 and without.p_holm < 0.001
    assert with_text.estimate.high < 0
    reliance = compared[Measure(RELIANCE, kind="text")].estimate
    assert reliance.high < 0 and reliance.value == pytest.approx(-0.38, abs=0.15)
    assert Measure(WORST, "av", "speaker") in compared and Measure("sad", "avt", "class") in compared


def test_the_corrected_p_value_is_holm_s_over_the_models_of_a_column() -> None:
    from dual_hpc.evaluation.comparison.holm import holm

    models = [
        model(name, {"av": share, "avt": 0.8}) for name, share in (("a", 0.6), ("b", 0.61), ("c", 0.64), ("d", 0.7))
    ]
    found = compare(models)
    column = [one[Measure("UA", "av")] for one in found.differences[1:]]
    assert [one.p_holm for one in column] == pytest.approx(holm([one.estimate.p for one in column]))


def test_over_seeds_and_folds_the_value_is_the_mean_of_all_trainings() -> None:
    some = model("dual", WITHOUT, seeds=3, folds=(1, 2))
    found = compare([some, model("text", WITH_TEXT, seeds=3, folds=(1, 2))])
    scores = [one.found["av"].scores(4).values["ua"] for one in some.trainings.values()]
    assert found.values[0][Measure("UA", "av")].value == pytest.approx(sum(scores) / len(scores))
    assert "mean over 3 seeds" in markdown(found) and "test folds 1, 2" in markdown(found)


def test_a_classifier_of_one_seed_stands_beside_models_of_several() -> None:
    found = compare([model("svm", WITH_TEXT), model("dual", WITHOUT, seeds=4)])
    assert found.differences[1][Measure("UA", "av")].p_holm < 0.05


def test_the_interval_of_a_share_ends_at_0_and_100_percent() -> None:
    few = [
        model_of(name, [predictions(corpus(2, 30), {"av": share, "avt": 0.5}, chance=7)])
        for name, share in (("a", 0.95), ("b", 0.1))
    ]
    free = [estimate(one[measure]) for one in sample(few) for measure in one if measure.kind != "text"]
    assert any(one.low < 0 or one.high > 1 for one in free)  # which Student's would not
    for values in compare(few).values:
        assert all(0 <= one.low <= one.value <= one.high <= 1 for m, one in values.items() if m.kind != "text")


def single(name: str, accuracy: dict[str, float], seeds: int = 1, turns: int = 30) -> Model:
    made = corpus(1, turns)
    draws = [(hash_of(name) + seed, {"seed": seed}) for seed in range(seeds)]
    return model_of(name, [predictions(made, accuracy, 5, chance, about) for chance, about in draws])


@pytest.mark.parametrize("turns", [1, 30])
def test_of_one_dialogue_and_one_seed_nothing_is_told_apart(turns: int, tmp_path: Path) -> None:
    found = compare([single("text", WITH_TEXT, turns=turns), single("dual", WITHOUT, turns=turns)])
    assert all(one.p_holm == 1 and not one.estimate.known for one in found.differences[1].values())
    written = write_comparison(tmp_path, found)
    text = (tmp_path / "comparison.md").read_text()
    assert "One dialogue does not say how sure" in text and "nan" not in text.lower() and "0.001" not in text
    assert not any(f"{value}* " in text for value in range(100)) and "*" not in text.split("## ", 1)[1]
    stored = json.loads((tmp_path / "comparison.json").read_text(), parse_constant=pytest.fail)
    assert all(one["interval"] is None for of in stored["models"] for one in of["measures"])
    rows = list(csv.DictReader((tmp_path / "comparison.csv").open()))
    assert {row["low"] for row in rows} == {""} and all(row["value"] for row in rows) and len(written) == 8


def test_several_seeds_make_an_interval_of_one_dialogue() -> None:
    found = compare([single("text", WITH_TEXT, 4), single("dual", WITHOUT, 4)])
    assert found.differences[1][Measure("UA", "av")].estimate.known


def test_a_measure_that_is_not_a_number_is_written_as_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    undefined = Metric("undefined", of_confusion=lambda matrices: np.full(len(matrices), np.nan))
    monkeypatch.setitem(METRICS._things, "undefined", undefined)
    write_comparison(tmp_path, compare([model("text", WITH_TEXT), model("dual", WITHOUT)]))
    json.loads((tmp_path / "comparison.json").read_text(), parse_constant=pytest.fail)


def changed(name: str) -> Model:
    utterances = corpus()
    fewer = dict(list(utterances.items())[:-1])
    made = {
        "protocol": predictions(utterances, WITHOUT, about={"protocol": "other7"}),
        "split": predictions(utterances, WITHOUT, about={"split": "validation"}),
        "fold": predictions(utterances, WITHOUT, about={"test_fold": 4}),
        "samples": predictions(fewer, WITHOUT),
        "labels": predictions(utterances, WITHOUT, seed=9),
    }
    return model_of("other", [made[name]])


REFUSED = {
    "protocol": "model has the protocol made4, other the protocol other7",
    "split": "model has the split test, other the split validation",
    "fold": "model has the test folds 5, other 4",
    "samples": "other has other test samples than model: it lacks f5d039u011",
    "labels": "other has other test samples than model: f5d000u0",
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_answer_the_same_questions_is_refused_by_name(what: str) -> None:
    ours = model_of("model", [predictions(corpus(), WITHOUT)])
    with pytest.raises(UserError, match=REFUSED[what]) as refused:
        compare([ours, changed(what)])
    assert len(str(refused.value).splitlines()) == 1


def test_models_without_a_common_subset_of_modalities_are_refused() -> None:
    some = [model("text", WITH_TEXT), model("sound", {"a": 0.5}), model("seen", {"av": 0.5})]
    assert compare([some[2], some[0]]).differences[1]
    for place in (0, 1):
        with pytest.raises(UserError, match="have no scores in common; evaluate both with --subsets av,avt"):
            compare([some[place], some[2], some[1 - place]])


def test_one_model_twice_the_same_and_an_incomplete_grid_are_refused() -> None:
    one = model("a", WITHOUT)
    with pytest.raises(UserError, match="name two runs or more"):
        compare([one])
    with pytest.raises(UserError, match="a is named twice"):
        compare([one, one])
    with pytest.raises(UserError, match="a: no run has the seed 1 and the test fold 1"):
        whole = model("a", WITHOUT, 2, (1, 2)).trainings
        model_of("a", [one for place, one in whole.items() if place != (1, 1)])
    with pytest.raises(UserError, match="two of its runs have the seed 0 and the test fold 5"):
        model_of("a", [predictions(corpus(), WITHOUT)] * 2)
    with pytest.raises(UserError, match="no model is called 'c'; there are a"):
        with_reference([one], "c")


def test_the_curve_of_missing_text_runs_from_all_modalities_to_none_of_the_text() -> None:
    some = model("text", WITH_TEXT)
    curve = missing_text_curve(some)
    found = some.first.found
    assert curve is not None and curve[0] == found["avt"].scores(4).values["ua"]
    assert curve[-1] == found["av"].scores(4).values["ua"] and curve[0] > curve[5] > curve[-1]


def suite(accuracy: dict[str, float], chance: int, seed: int = 0) -> PredictionSet:
    text = next(one for one in MISSING_MODALITY if one.title == "text missing")
    plan = RobustnessPlan(seed, [PlannedCurve(text, "avt", missing=True)])
    return replace(predictions(corpus(), accuracy, chance=chance), robustness=plan)


def test_the_curves_of_several_models_are_in_one_picture_if_all_were_drawn_from_one_seed() -> None:
    one, other = (replace(model(name, share), suites=[suite(share, hash_of(name))]) for name, share in NAMED.items())
    figure = robustness_figure([one, other])
    assert figure is not None
    (panel,) = [axis for axis in figure.axes if axis.get_visible()]
    assert panel.get_title() == "text missing, {A,V,T}" and [line.get_label() for line in panel.lines] == [
        "text",
        "dual",
    ]
    first = np.asarray(panel.lines[0].get_ydata())
    assert first[0] == pytest.approx(100 * one.suites[0].found["avt"].scores(4).values["ua"])
    assert first[-1] == pytest.approx(100 * one.suites[0].found["av"].scores(4).values["ua"])
    assert robustness_figure([one, model("plain", WITHOUT)]) is None
    assert robustness_figure([one, replace(other, suites=[suite(WITHOUT, 1, seed=7)])]) is None


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    paths = []
    for name, accuracy in (("text_only & co", WITH_TEXT), ("dual", WITHOUT)):
        found = predictions(corpus(), accuracy, chance=hash_of(name), about={"model": name})
        paths.append(tmp_path / f"{name}_predictions.jsonl")
        write_predictions(paths[-1], found)
    return list(map(str, paths))


def test_the_command_writes_tables_and_figures_that_hold_the_same_numbers(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["compare", *files, "--out", str(out)]) == 0
    assert "Scores with {A,V}" in capsys.readouterr().out
    assert {path.name for path in out.iterdir()} == {
        *(f"comparison.{ending}" for ending in ("md", "tex", "csv", "json", "png", "pdf")),
        *(f"comparison_missing_text.{ending}" for ending in ("png", "pdf")),
    }
    stored = json.loads((out / "comparison.json").read_text())
    assert [one["name"] for one in stored["models"]] == ["text_only & co", "dual"]
    rows = list(csv.DictReader((out / "comparison.csv").open()))
    flat = [one for model in stored["models"] for one in model["measures"]]
    assert [float(row["value"]) for row in rows] == [one["value"] for one in flat]
    ua = next(one for one in flat if one["name"] == "UA" and one["subset"] == "av")
    assert f"{100 * ua['value']:.1f} [" in (out / "comparison.md").read_text()
    assert f"{100 * ua['value']:.1f} [" in (out / "comparison.tex").read_text()
    assert main(["compare", *files, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == stored


def test_the_command_refuses_in_one_line(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other_predictions.jsonl"
    write_predictions(other, predictions(corpus(), WITHOUT, about={"protocol": "x7", "model": "other"}))
    for words, said in (
        ([files[0]], "name two runs"),
        ([files[0], str(other)], "has the protocol made4, other the protocol x7"),
        ([files[0], "nobody", "--store", str(tmp_path)], "there is no run, sweep or file of predictions 'nobody'"),
        ([*files, "--reference", "c"], "no model is called 'c'"),
        ([*files, "--out", files[0]], "is not a folder"),
    ):
        assert main(["compare", *words]) == 2
        error = capsys.readouterr().err
        assert said in error and len(error.splitlines()) == 1


def test_the_same_comparison_writes_the_same_bytes(tmp_path: Path) -> None:
    models = [model("text", WITH_TEXT), model("dual", WITHOUT)]
    first, again = (write_comparison(tmp_path / name, compare(models)) for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
