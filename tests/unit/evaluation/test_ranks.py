"""An evaluation on several ranks, and one that is killed: each utterance once, and the same bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from dual_hpc.evaluation import run
from dual_hpc.evaluation.finished_batches import FinishedBatch, FinishedBatches
from dual_hpc.evaluation.result import EvaluationResult
from dual_hpc.evaluation.run import evaluate_into
from launch.cli.main import main
from tests.unit.evaluation.test_run import data_of

NAMES = {f"test{part}{end}" for part in ("", "_robustness") for end in (".json", ".md", ".png", "_predictions.jsonl")}
NAMES.add("test_reliability.png")


class Killed(BaseException):
    """What no code catches, as a signal."""


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The keys of each batch that a model was asked about."""
    asked: list[list[str]] = []
    real = run.predict_batch

    def counted(model, batch, *rest):
        asked.append(list(batch["keys"]))
        return real(model, batch, *rest)

    monkeypatch.setattr(run, "predict_batch", counted)
    return asked


def on_rank(out: Path, model: Path, shards: Path, index: int, count: int) -> EvaluationResult | None:
    return evaluate_into(out, model, data_of(shards), "test", ("av", "avt"), 3, None, (index, count), False)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def whole(saved_model: Path, shards: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("whole")
    on_rank(out, saved_model, shards, 0, 1)
    return contents(out)


@pytest.mark.parametrize("count", [2, 3])
def test_any_number_of_ranks_writes_the_same_bytes_and_reads_each_utterance_once(
    count: int, saved_model: Path, shards: Path, tmp_path: Path, whole: dict[str, bytes], batches: list[list[str]]
) -> None:
    done = [on_rank(tmp_path, saved_model, shards, index, count) for index in reversed(range(count))]
    assert [one is None for one in done] == [True] * (count - 1) + [False]
    assert contents(tmp_path) == whole and whole.keys() == NAMES
    asked = [key for keys in batches for key in keys if key]
    assert len(asked) == len(set(asked)) == 10
    # A rank that Slurm starts again finds the work done.
    again = on_rank(tmp_path, saved_model, shards, 0, count)
    assert again is not None and again.about["count"] == 9 and len(batches) == 4


def test_a_killed_evaluation_continues_on_another_number_of_ranks_without_repeating_a_batch(
    saved_model: Path,
    shards: Path,
    tmp_path: Path,
    whole: dict[str, bytes],
    batches: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = run.predict_batch

    def killed(*arguments):
        if len(batches) == 2:
            raise Killed
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(run, "predict_batch", killed)
        with pytest.raises(Killed):
            on_rank(tmp_path, saved_model, shards, 0, 1)
    (noted,) = tmp_path.rglob("rank-0-of-1.jsonl")
    noted.write_bytes(noted.read_bytes()[:-40])  # the second line is torn: its batch is done again
    for index in range(2):
        on_rank(tmp_path, saved_model, shards, index, 2)
    assert contents(tmp_path) == whole
    assert len(batches) == 2 + 3


def test_batches_of_other_weights_or_conditions_are_not_taken(
    saved_model: Path, shards: Path, tmp_path: Path, batches: list[list[str]]
) -> None:
    assert evaluate_into(tmp_path, saved_model, data_of(shards), "test", ("av",), None, None, (0, 2)) is None
    assert evaluate_into(tmp_path, saved_model, data_of(shards), "test", ("avt",), None, None, (1, 2)) is None
    assert evaluate_into(tmp_path, saved_model, data_of(shards), "test", ("av",), None, None, (1, 2)) is not None


def test_where_batches_cannot_be_noted_a_single_rank_goes_on_and_several_say_so(tmp_path: Path) -> None:
    (tmp_path / ".test.parts").touch()  # a file, where the folder should be
    batch = FinishedBatch(batch=0, answers={})
    alone = FinishedBatches((tmp_path, "test"), "f", 1, (0, 1))
    alone.add(batch)
    assert alone.found == [batch]
    with pytest.raises(OSError):
        FinishedBatches((tmp_path, "test"), "f", 1, (0, 2)).add(batch)


def test_the_cost_is_said_before_the_suite_begins(
    saved_model: Path, shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", str(saved_model), "--shards", str(shards), "--protocol", "iemocap4", "--out", str(tmp_path)]
    assert main(["evaluate", *words, "--robustness", "--array-index", "1", "--array-count", "2"]) == 0
    said = capsys.readouterr()
    assert "conditions each:" in said.err and "forward passes" in said.err
    assert "task 1 (of 0 to 1) has done its share" in said.out


def test_tasks_without_a_folder_to_meet_in_are_refused(
    saved_model: Path, shards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", str(saved_model), "--shards", str(shards), "--protocol", "iemocap4"]
    assert main(["evaluate", *words, "--array-count", "2"]) == 2
    assert "need --out DIR" in capsys.readouterr().err
