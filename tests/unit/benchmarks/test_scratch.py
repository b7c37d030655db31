"""The benchmark of presets from scratch: what it holds out, and what its table says of known scores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import record, scratch
from benchmarks.scratch import SVM, Score, configured, interval, rows, trained


def test_each_seed_holds_another_part_of_the_speakers_out(tmp_path: Path) -> None:
    configs = [configured("scratch", seed, 5, tmp_path, tmp_path / "shards") for seed in range(5)]
    assert [config.data.test_fold for config in configs] == [1, 2, 3, 4, 5]
    assert [config.seed for config in configs] == list(range(5)) and len({config.name for config in configs}) == 5
    assert all(config.data.split == {"speaker": 5} for config in configs)
    assert not any(config.model.use_text or config.model.use_video for config in configs)


def test_settings_reach_every_run(tmp_path: Path) -> None:
    assert configured("own", 0, 5, tmp_path, tmp_path, ["training.epochs=3"]).training.epochs == 3


def test_an_interval_is_that_of_students_t() -> None:
    assert interval([50.0, 60.0, 70.0]) == "60.0 [35.2, 84.8]"  # 4.303 * 10 / sqrt(3)
    assert interval([50.0]) == "50.0"


def test_the_table_pairs_each_seed_with_the_svm_of_its_speakers() -> None:
    found = {
        "scratch": [Score(60.0, 61.0, 120.0, 240.0), Score(70.0, 71.0, 120.0, 240.0)],
        SVM: [Score(50.0, 50.0), Score(60.0, 60.0)],
    }
    net, svm = rows(found)
    assert net[0] == "scratch" and net[2] == "60.0 70.0" and net[4] == "10.0 [10.0, 10.0]"
    assert net[5:] == ["2.0", "4.0"] and svm[0] == SVM and svm[3:] == ["", "", "", ""]


def test_what_was_trained_before_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured("scratch", 0, 5, tmp_path, tmp_path)
    (tmp_path / "scratch-0.json").write_text(json.dumps({"best": 1.0, "last": 2.0, "seconds": 3.0}))
    monkeypatch.setattr(scratch.dual_hpc, "train", lambda config: pytest.fail("it was trained again"))
    assert trained(config) == Score(1.0, 2.0, 3.0)


def test_the_page_keeps_the_sections_of_other_corpora(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    for corpus in ("one", "two", "one"):
        page = scratch.save(corpus, [f"text of {corpus}"], {SVM: [Score(50.0, 50.0)]})
    lines = page.read_text().splitlines()
    assert lines.count("## one") == lines.count("## two") == 1 and "text of two" in lines
