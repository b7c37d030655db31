"""What an answer rests on: shares of the modalities that add up, moments, and what cannot be explained."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dual_hpc.inference.explanation import explain, left_out, shapley, windows
from dual_hpc.inference.predictor import Predictor
from dual_hpc.inference.requests import Clip
from launch.cli.main import main

SUBSETS = ("", "a", "v", "t", "av", "at", "vt", "avt")
values = st.lists(st.floats(0, 1), min_size=8, max_size=8).map(lambda found: dict(zip(SUBSETS, found, strict=True)))


@given(values)
@settings(max_examples=50, deadline=None)
def test_the_shares_add_up_to_what_all_are_worth_more_than_nothing(subsets: dict[str, float]) -> None:
    assert sum(shapley(subsets).values()) == pytest.approx(subsets["avt"] - subsets[""], abs=1e-9)


def test_shares_of_modalities_that_do_what_is_known() -> None:
    alone = {name: 0.2 + 0.5 * ("a" in name) for name in SUBSETS}  # only audio matters
    assert shapley(alone) == pytest.approx({"audio": 0.5, "video": 0.0, "text": 0.0})
    both = {name: 0.1 + 0.6 * ("a" in name and "t" in name) for name in SUBSETS}  # audio and text only together
    assert shapley(both) == pytest.approx({"audio": 0.3, "video": 0.0, "text": 0.3})
    assert left_out(both) == pytest.approx({"audio": 0.6, "video": 0.0, "text": 0.6})
    assert shapley({"": 0.25, "v": 0.75}) == {"video": 0.5}


@pytest.mark.parametrize("seconds", [0.05, 0.5, 0.51, 1.2, 20.0, 600.0])
def test_what_is_hidden_covers_the_clip_and_is_never_too_much_work(seconds: float) -> None:
    found = list(windows(seconds))
    assert found[0][0] == 0 and found[-1][1] == pytest.approx(seconds, abs=2e-3) and len(found) <= 40
    assert all(after[0] < before[1] for before, after in pairwise(found))


def test_an_answer_is_explained_by_what_the_clip_has(saved_model: Any, clips: Path) -> None:
    predictor = Predictor.from_pretrained(saved_model, device="cpu")
    for name, text, letters in (("both.mp4", "so it goes", "avt"), ("sound.wav", None, "a")):
        clip = Clip(clips / name, text)
        prepared = predictor.prepare(clip)
        answer = predictor.answer([clip], [prepared])[0]
        found = explain(predictor, prepared, answer.label, begin=7.0)
        assert found.moments[0].start == 7.0
        assert len(found.subsets) == 2 ** len(letters)
        assert found.subsets[letters] == pytest.approx(answer.probabilities[answer.label], abs=1e-5)
        assert any(abs(moment.loss) > 1e-6 for moment in found.moments)
        assert all(matrix.shape[0] == matrix.shape[1] >= 3 for matrix in found.matrices.values()) and found.matrices


def test_the_command_writes_numbers_and_a_picture(saved_model: Any, clips: Path, tmp_path: Path, capsys: Any) -> None:
    asked = ["predict", "--model", str(saved_model), "--input", str(clips / "both.mp4"), "--device", "cpu"]
    picture = tmp_path / "why.png"
    assert main([*asked, "--format", "jsonl", "--explain", str(picture)]) == 0
    found = json.loads(capsys.readouterr().out)["explanation"]
    assert set(found["shapley"]) == {"audio", "video"} and "nothing" in found["shown"]
    assert picture.read_bytes().startswith(b"\x89PNG")
    for wrong in (["--explain", "why.txt"], ["--explain", "--window", "1"]):
        assert main([*asked, *wrong]) == 2
        assert "--explain" in capsys.readouterr().err
