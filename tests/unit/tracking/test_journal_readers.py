"""TensorBoard and Weights & Biases beside MLflow: each step of a metric once, and no failure reaches a training."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import Journal
from dual_hpc.tracking.journal_readers import JournalReaders, missing_readers
from tests.unit.tracking.runs import make_run


def shown_by_tensorboard(run: RunDir, key: str) -> list[tuple[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(key)]


def test_tensorboard_shows_each_step_once_however_often_the_run_is_continued(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    run = make_run(tmp_path, "boarded")
    for first in (1, 3):  # the second job repeats steps 3 and 4
        readers = JournalReaders(run, ["tensorboard", "tensorboard"])
        with Journal(run.journal) as journal:
            for step in range(first, first + 4):
                journal.metrics(step, {"train/loss": step / first}, time_ms=1000 * step)
                readers.update()
            journal.event("end", step)
        readers.close()
    JournalReaders(run, ["tensorboard"]).close()
    wanted = [(1, 1.0), (2, 2.0), (3, 1.0), (4, pytest.approx(4 / 3)), (5, pytest.approx(5 / 3)), (6, 2.0)]
    assert shown_by_tensorboard(run, "train/loss") == wanted


def test_weights_and_biases_has_an_offline_run_of_the_run_s_id(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    run = make_run(tmp_path, "weighed")
    with Journal(run.journal) as journal:
        for step in range(3):
            journal.metrics(step, {"train/loss": 1.0 - step}, time_ms=1000 * step)
    for _ in range(2):
        JournalReaders(run, ["wandb"]).close()
    (folder,) = (run.path / "wandb").glob("offline-run-*")
    (file,) = folder.glob("*.wandb")
    assert file.name == f"run-{run.identity().run_id}.wandb"
    content = file.read_bytes()
    assert content.count(b"train/loss") >= 3


def test_a_package_that_is_not_there_is_one_warning_that_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    monkeypatch.delitem(sys.modules, "dual_hpc.tracking.tensorboard", raising=False)
    with caplog.at_level(logging.WARNING):
        readers = JournalReaders(make_run(tmp_path, "bare"), ["tensorboard"])
        for _ in range(3):
            readers.update()
        readers.close()
    assert len(caplog.records) == 1 and "pip install 'dual-hpc[tensorboard]'" in caplog.text


def test_a_reader_that_is_not_installed_is_named_when_the_run_is_planned(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "wandb.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    for name in ("tensorboard", "wandb"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    found = missing_readers(["wandb", "tensorboard", "tensorboard"])
    assert found == ["tracking.also: tensorboard is not installed here: pip install 'dual-hpc[tensorboard]'"]
