"""The benchmark of SDM: what it trains is kept, and its table holds what there is."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import differential, record
from shards.synthetic.dials import Dials


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    return ["differential", "--work", str(tmp_path / "work"), "--utterances", "16", "--steps", "2", "--seeds", "2"]


def test_scores_are_kept_and_shown_without_training_again(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [*words, "--only", "0"])
    differential.main()
    assert not (tmp_path / "differential.md").exists()
    monkeypatch.setattr(sys, "argv", [*words, "--show"])
    monkeypatch.setattr(differential, "train", lambda *arguments: pytest.fail("trained again"))
    differential.main()
    scores = json.loads((tmp_path / "differential.json").read_text())["scores"]
    assert scores.keys() == set(differential.CASES) and all(list(seeds) == ["0"] for seeds in scores.values())
    assert "UA, dynamic classes, 1 seeds" in (tmp_path / "differential.md").read_text()


def test_the_classes_come_in_turn_and_movement_alone_can_be_heard_where_the_voice_is_loud() -> None:
    seen, others = (differential.utterances(80, Dials(), speakers) for speakers in (range(2), range(2, 4)))
    assert [one.label for one in seen[:5]] == [0, 1, 2, 3, 0]
    assert torch.equal(differential.utterances(1, Dials(), range(2))[0].bands, seen[0].bands)
    assert differential.audible(seen, others, 5.0) > 0.65
