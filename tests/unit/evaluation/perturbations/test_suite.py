"""The suite on a small model: which curves there are, what they rest on, and the files that hold them."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest

from dual_hpc.errors import UserError
from dual_hpc.evaluation.perturbations import PERTURBATIONS, Context, Perturbation
from dual_hpc.evaluation.perturbations.missing_modality import MISSING_MODALITY, replace_share
from dual_hpc.evaluation.perturbations.report import robustness_figure, robustness_markdown
from dual_hpc.evaluation.perturbations.suite import RobustnessSuite
from dual_hpc.evaluation.prediction_file import read_predictions
from dual_hpc.evaluation.prediction_set import result_of
from dual_hpc.evaluation.predictions import Predictions
from dual_hpc.evaluation.report_files import write_reports
from dual_hpc.evaluation.run import evaluate
from tests.unit.evaluation.test_run import data_of

SOUND = ("white noise", "babble", "quieter audio", "louder audio", "erased audio")
TEXT = ("word errors", "erased text")


@pytest.fixture(scope="module")
def result(saved_model, shards):
    return evaluate(saved_model, data_of(shards), robustness_seed=3)


def names(robustness) -> set[tuple[str, str]]:
    return {(curve.perturbation.title, curve.subset) for curve in robustness.curves}


def test_a_corpus_without_video_has_no_curve_of_video(result):
    assert names(result.robustness) == {
        *((name, shown) for name in SOUND for shown in ("av", "avt")),
        *((name, shown) for name in TEXT for shown in ("t", "avt")),
        ("audio missing", "avt"),  # without audio {A,V} would have nothing left
        ("text missing", "avt"),
    }


@pytest.mark.parametrize(
    ("able", "media", "expected"),
    [
        ("", True, set()),
        ("a", True, {(name, "avt") for name in SOUND}),
        ("at", False, {("audio missing", "avt"), ("text missing", "avt")}),
        ("v", True, {(name, "avt") for name in ("dropped frames", "erased video", "occlusion", "blur")}),
        ("av", False, {(f"{name} missing", "avt") for name in ("audio", "video")}),
        ("t", True, {(name, "avt") for name in TEXT}),
    ],
)
def test_a_subset_that_the_model_sees_as_another_is_scored_once(able, media, expected):
    suite = RobustnessSuite(able, media, Context(0, None, 16))
    asked = suite.views()
    found = {name: Predictions(["u"], np.zeros(1, np.int64), np.eye(2, dtype=np.float32)[:1]) for name in asked}
    curves = suite.result(found, 2).curves
    assert len(curves) == len({(curve.perturbation.title) for curve in curves})
    assert {name for name, _ in names(suite.result(found, 2))} == {name for name, _ in expected}


def test_nothing_perturbed_is_the_plain_score_and_everything_missing_that_without_it(result):
    for curve in result.robustness.curves:
        assert set(curve.points) == set(curve.perturbation.levels)
        assert {one.count for one in (curve.clean, *curve.points.values())} == {9}
        if curve.subset in result.subsets:
            assert curve.clean.values == result.subsets[curve.subset].scores.values
    missing = next(curve for curve in result.robustness.curves if curve.perturbation.title == "text missing")
    assert missing.points[100.0].values == result.subsets["av"].scores.values


def test_the_same_seed_gives_the_same_curves(result, saved_model, shards):
    again = evaluate(saved_model, data_of(shards), subsets=("a",), robustness_seed=3)
    assert again.robustness.to_json() == result.robustness.to_json()
    assert result.to_json()["robustness"]["seed"] == 3
    assert "robustness" not in evaluate(saved_model, data_of(shards), subsets=("a",)).to_json()


def test_who_lacks_a_modality_at_one_share_does_at_every_higher_one():
    keys = [f"u{n}" for n in range(400)]
    truth = np.zeros(400, np.int64)
    own, without = (Predictions(keys, truth, np.eye(2, dtype=np.float32)[[n] * 400]) for n in (0, 1))
    lacking = [replace_share(own, without, share, 0, "x").answers for share in (0.0, 0.3, 0.7, 1.0)]
    assert [answers.mean() for answers in lacking] == pytest.approx([0, 0.3, 0.7, 1], abs=0.08)
    assert all((more >= less).all() for less, more in pairwise(lacking))


def test_the_files_hold_every_point_and_a_plain_report_leaves_them(result, saved_model, shards, tmp_path):
    write_reports(tmp_path, "test", result)
    stored = json.loads((tmp_path / "test_robustness.json").read_text())
    assert stored["about"]["count"] == 9 and stored["majority"] == result.baselines["majority"]
    assert stored["robustness"] == result.robustness.to_json()
    write_reports(tmp_path, "test", evaluate(saved_model, data_of(shards), subsets=("a",)))
    text = (tmp_path / "test_robustness.md").read_text()
    assert text.count("## ") == 1 + len({name for name, _ in names(result.robustness)})
    assert [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| {")][:3] == [
        *("{A}", "{T}", "{A,T}"),
    ]
    assert "| dB SNR | clean | 20 | 10 | 5 | 0 | -5 |" in text and "seed 3" in text
    assert (tmp_path / "test_robustness.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("able", "expected"),
    [
        ("avt", ["a", "v", "t", "av", "at", "vt", "avt"]),
        ("av", ["a", "v", "av"]),
        ("vt", ["v", "t", "vt"]),
        ("a", []),
        ("", []),
    ],
)
@pytest.mark.parametrize("media", [True, False])
def test_every_subset_of_what_there_is_is_scored_under_one_heading(able: str, expected: list[str], media: bool) -> None:
    suite = RobustnessSuite(able, media, Context(0, None, 16))
    answers = np.eye(2, dtype=np.float32)[[0, 1]]
    found = {name: Predictions(["u", "v"], np.zeros(2, np.int64), answers) for name in suite.views()}
    robustness = suite.result(found, 2)
    assert list(robustness.subsets) == expected == list(robustness.to_json().get("subsets", {}))
    text = robustness_markdown(robustness, {"run": "r", "split": "test", "count": 2}, {})
    assert text.count("## Subsets of the modalities") == bool(expected)


def test_the_subsets_are_read_back_from_the_predictions(result, tmp_path) -> None:
    write_reports(tmp_path, "test", result)
    again = result_of(read_predictions(tmp_path / "test_robustness_predictions.jsonl")).robustness
    assert list(again.subsets) == ["a", "t", "at"] and again.to_json() == result.robustness.to_json()


def test_predictions_of_an_earlier_version_know_no_subsets(result, tmp_path) -> None:
    write_reports(tmp_path, "test", result)
    file = tmp_path / "test_robustness_predictions.jsonl"
    file.write_text(file.read_text().replace('"subsets": ["a", "t", "at"], "curves"', '"curves"', 1))
    again = result_of(read_predictions(file)).robustness
    assert "subsets" not in again.to_json() and again.to_json()["curves"] == result.robustness.to_json()["curves"]


def test_the_figure_has_a_panel_per_perturbation(result):
    panels = [axis for axis in robustness_figure(result.robustness, {"ua": 0.25}).axes if axis.get_visible()]
    assert [axis.get_title() for axis in panels] == [
        *(*SOUND, *TEXT, "audio missing", "text missing"),
    ]


def test_what_a_gain_clips_stands_beside_the_scores(result):
    curves = [curve for curve in result.robustness.curves if curve.clipped]
    assert [(curve.perturbation.title, curve.subset) for curve in curves] == [
        ("louder audio", "av"),
        ("louder audio", "avt"),
    ]
    shares = list(curves[0].clipped.values())
    assert shares == sorted(shares) == list(curves[1].clipped.values()) and 0 < shares[-1] < 1
    stored = [curve for curve in result.robustness.to_json()["curves"] if "clipped" in curve["points"][0]]
    assert [point["clipped"] for point in stored[0]["points"]] == shares
    text = robustness_markdown(result.robustness, result.about, {"ua": 0.25})
    assert f"| samples clipped, % |  | {100 * shares[0]:.2g} |" in text
    panel = next(a for a in robustness_figure(result.robustness, {}).axes if a.get_title() == "louder audio")
    assert panel.get_xticklabels()[-1].get_text() == f"30\n{100 * shares[-1]:.2g} %"
    assert panel.get_xlabel() == "dB louder, samples clipped"


def test_nothing_to_perturb_is_said(result):
    nothing = RobustnessSuite("", True, Context(0, None, 16)).result({}, 4)
    assert "No perturbation applies" in robustness_markdown(nothing, result.about, {"ua": 0.25})
    robustness_figure(nothing, {"ua": 0.25})


def test_every_level_is_harder_than_the_one_before():
    for one in (*(PERTURBATIONS.get(name) for name in PERTURBATIONS), *MISSING_MODALITY):
        assert one.higher_is_harder == (one.unit != "dB SNR")
        assert list(one.levels) == sorted(one.levels, reverse=not one.higher_is_harder)


@pytest.mark.parametrize("levels", [(), (1.0, 1.0), (1.0, 3.0, 2.0)])
def test_levels_that_neither_rise_nor_fall_are_refused(levels):
    with pytest.raises(UserError, match="levels"):
        Perturbation("x", "a", "dB", levels)


def test_a_registered_perturbation_has_a_curve_a_table_and_a_panel(monkeypatch, saved_model, shards):
    silence = Perturbation(
        "silence",
        "a",
        "% of the samples",
        (50.0, 100.0),
        ("a", "avt"),
        apply=lambda batch, level, context: {**batch, "waveform": batch["waveform"] * (1 - level / 100)},
    )
    monkeypatch.setitem(PERTURBATIONS._things, "silence", silence)
    found = evaluate(saved_model, data_of(shards), robustness_seed=3)
    assert [c.subset for c in found.robustness.curves if c.perturbation is silence] == ["a", "avt"]
    assert "## Silence" in robustness_markdown(found.robustness, found.about, found.baselines["majority"])
    titles = [axis.get_title() for axis in robustness_figure(found.robustness, {}).axes]
    assert "silence" in titles
