"""The suite on a small model: which curves there are, what they rest on, and the files that hold them."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest

from dual_hpc.evaluation.perturbations.report import robustness_figure, robustness_markdown
from dual_hpc.evaluation.perturbations.suite import ABSENCES, CHANGES, Suite, mixed
from dual_hpc.evaluation.predictions import Predictions
from dual_hpc.evaluation.run import evaluate, write_reports
from tests.unit.evaluation.test_run import data_of


@pytest.fixture(scope="module")
def result(saved_model, shards):
    return evaluate(saved_model, data_of(shards), robustness_seed=3)


def names(robustness) -> set[tuple[str, str]]:
    return {(curve.disturbance.name, curve.shown) for curve in robustness.curves}


def test_a_corpus_without_video_has_no_curve_of_video(result):
    assert names(result.robustness) == {
        *((name, shown) for name in ("white noise", "babble") for shown in ("av", "avt")),
        *(("word errors", shown) for shown in ("t", "avt")),
        ("audio missing", "avt"),  # without audio {A,V} would have nothing left
        ("text missing", "avt"),
    }


@pytest.mark.parametrize(
    ("able", "media", "expected"),
    [
        ("", True, set()),
        ("a", True, {("white noise", "avt"), ("babble", "avt")}),
        ("at", False, {("audio missing", "avt"), ("text missing", "avt")}),
        ("v", True, {(name, "avt") for name in ("lost pictures", "occlusion", "blur")}),
        ("av", False, {(f"{name} missing", "avt") for name in ("audio", "video")}),
        ("t", True, {("word errors", "avt")}),
    ],
)
def test_a_subset_that_the_model_sees_as_another_is_scored_once(able, media, expected):
    suite = Suite(0, able, media, None, 16)
    asked = suite.views()
    found = {name: Predictions(["u"], np.zeros(1, np.int64), np.eye(2, dtype=np.float32)[:1]) for name in asked}
    curves = suite.result(found, 2).curves
    assert len(curves) == len({(curve.disturbance.name) for curve in curves})
    assert {name for name, _ in names(suite.result(found, 2))} == {name for name, _ in expected}


def test_nothing_disturbed_is_the_plain_score_and_everything_missing_that_without_it(result):
    for curve in result.robustness.curves:
        assert set(curve.points) == set(curve.disturbance.levels)
        assert {one.count for one in (curve.clean, *curve.points.values())} == {9}
        if curve.shown in result.subsets:
            assert curve.clean.main() == result.subsets[curve.shown].scores.main()
    missing = next(curve for curve in result.robustness.curves if curve.disturbance.name == "text missing")
    assert missing.points[100.0].main() == result.subsets["av"].scores.main()


def test_the_same_seed_gives_the_same_curves(result, saved_model, shards):
    again = evaluate(saved_model, data_of(shards), subsets=("a",), robustness_seed=3)
    assert again.robustness.to_json() == result.robustness.to_json()
    assert result.to_json()["robustness"]["seed"] == 3
    assert "robustness" not in evaluate(saved_model, data_of(shards), subsets=("a",)).to_json()


def test_who_lacks_a_modality_at_one_share_does_at_every_higher_one():
    keys = [f"u{n}" for n in range(400)]
    truth = np.zeros(400, np.int64)
    own, without = (Predictions(keys, truth, np.eye(2, dtype=np.float32)[[n] * 400]) for n in (0, 1))
    lacking = [mixed(own, without, share, 0, "x").answers for share in (0.0, 0.3, 0.7, 1.0)]
    assert [answers.mean() for answers in lacking] == pytest.approx([0, 0.3, 0.7, 1], abs=0.08)
    assert all((more >= less).all() for less, more in pairwise(lacking))


def test_the_files_hold_every_point_and_a_plain_report_leaves_them(result, saved_model, shards, tmp_path):
    write_reports(tmp_path, "test", result)
    stored = json.loads((tmp_path / "test_robustness.json").read_text())
    assert stored["about"]["count"] == 9 and stored["majority"] == result.baselines["majority"]
    assert stored["robustness"] == result.robustness.to_json()
    write_reports(tmp_path, "test", evaluate(saved_model, data_of(shards), subsets=("a",)))
    text = (tmp_path / "test_robustness.md").read_text()
    assert text.count("## ") == len({name for name, _ in names(result.robustness)})
    assert "| dB SNR | clean | 20 | 10 | 5 | 0 | -5 |" in text and "seed 3" in text
    assert (tmp_path / "test_robustness.png").read_bytes().startswith(b"\x89PNG")


def test_the_figure_has_a_panel_per_disturbance(result):
    panels = [axis for axis in robustness_figure(result.robustness, 0.25).axes if axis.get_visible()]
    assert [axis.get_title() for axis in panels] == [
        *("white noise", "babble", "word errors", "audio missing", "text missing"),
    ]


def test_nothing_to_disturb_is_said(result):
    nothing = Suite(0, "", True, None, 16).result({}, 4)
    assert "No disturbance applies" in robustness_markdown(nothing, result.about, 0.25)
    robustness_figure(nothing, 0.25)


def test_every_level_lies_beyond_the_one_before():
    for one in (*CHANGES, *ABSENCES):
        falling = one.unit == "dB SNR"
        assert list(one.levels) == sorted(one.levels, reverse=falling)
