"""A sweep as models to compare: its experiments, over seeds and folds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dual_hpc.config import load_config
from dual_hpc.errors import UserError
from dual_hpc.evaluation.comparison.measures import Measure
from dual_hpc.evaluation.prediction_file import write_predictions
from dual_hpc.run.directory import RunDir
from launch.cli.main import main
from launch.sweeps.compared import _names, models_of
from launch.sweeps.grid import SweepDir, folder, grid
from tests.unit.evaluation.comparison.made import corpus, predictions


@pytest.fixture
def store(tmp_path: Path) -> Path:
    sweep = SweepDir(folder(tmp_path, "families"), grid("families", ["model.family=dual,late_fusion", "seeds=0..1"]))
    sweep.path.mkdir(parents=True)
    sweep.save()
    for member, run_dir in zip(sweep.sweep.members, sweep.runs(), strict=True):
        run = RunDir.create(
            run_dir.path, load_config("demo", [f"store={tmp_path}", "data.shards=[x]", *member.overrides])
        )
        (run.exports / "best").mkdir(parents=True)
        seed = run.config().seed
        share = 0.8 if "dual" in member.name else 0.5
        made = predictions(corpus(), {"av": share, "avt": share}, chance=hash(member.name) % 1000)
        about = {key: value for key, value in made.about.items() if key != "seed"}  # as an earlier version wrote it
        write_predictions(run.reports / "test_best_predictions.jsonl", type(made)(**{**vars(made), "about": about}))
        assert seed in (0, 1)
    return tmp_path


def test_members_that_differ_in_seed_are_one_model_named_by_what_sets_it_apart(store: Path) -> None:
    models = models_of(["families"], store)
    assert [model.name for model in models] == ["dual", "late_fusion"]
    assert [model.seeds for model in models] == [[0, 1], [0, 1]]


def test_the_command_compares_the_experiments_of_a_sweep(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", "families", "--store", str(store), "--reference", "late_fusion"]
    assert main(words) == 0
    assert "Differences from late_fusion" in capsys.readouterr().out
    assert Measure("UA", "av").heading == "UA {A,V}"
    assert (
        main(["compare", "families.family-dual.seed-0", "families.family-late_fusion.seed-0", "--store", str(store)])
        == 0
    )


def test_the_folder_of_a_report_is_the_predictions_in_it(store: Path, tmp_path: Path) -> None:
    run = next((store / "runs").glob("families*"))
    folders = {name: tmp_path / name for name in ("svm", "of-no-report")}
    for path in folders.values():
        path.mkdir()
    written = (run / "reports/test_best_predictions.jsonl").read_bytes()
    (folders["svm"] / "test_best_predictions.jsonl").write_bytes(written)
    words = [str(folders["svm"]), str(folders["svm"] / "test_best_predictions.jsonl")]
    by_folder, by_file = (models_of([word], store)[0] for word in words)
    assert by_folder.name == by_file.name and by_folder.trainings.keys() == by_file.trainings.keys()
    with pytest.raises(UserError, match="there is no run"):
        models_of([str(folders["of-no-report"])], store)
    with pytest.raises(UserError):
        models_of([str(folders["svm"])], store, "test_last")


def run_in(store: Path, name: str, share: float) -> Path:
    run = RunDir.create(store / "runs" / name, load_config("demo", [f"store={store}", "data.shards=[x]"]))
    made = predictions(corpus(), {"av": share, "avt": share}, about={"run": name})
    write_predictions(run.reports / "test_best_predictions.jsonl", made)
    return run.path


def test_runs_and_experiments_of_one_name_are_told_apart_by_their_folders(store: Path, tmp_path: Path) -> None:
    one, other = run_in(store, "dual", 0.6), run_in(tmp_path / "again", "dual", 0.7)
    assert [model.name for model in models_of([str(one), str(other)], store)] == [f"{store.name}/dual", "again/dual"]
    beside = [model.name for model in models_of(["families", "dual"], store)]
    assert beside == ["families/dual", "late_fusion", f"{store.name}/dual"]
    assert main(["compare", str(one), str(other), "--reference", "again/dual"]) == 0


@pytest.mark.parametrize("words", [["dual", "dual"], ["dual", "runs/dual"], ["families", "families"]])
def test_the_same_predictions_named_twice_are_refused(
    words: list[str], store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_in(store, "dual", 0.6)
    monkeypatch.chdir(store)
    with pytest.raises(UserError, match="dual is named twice"):
        models_of(words, store)
    with pytest.raises(UserError, match="dual is named twice"):
        models_of(["dual", "runs/dual/reports/test_best_predictions.jsonl"], store)


def test_settings_that_differ_in_their_section_alone_have_names_of_their_own() -> None:
    made = _names([["model.audio.path=a"], ["model.video.path=a"], ["optim.lr=1"]], "s")
    assert made == ["model.audio.path=a", "model.video.path=a", "lr=1"]


def test_what_a_member_lacks_is_said_with_the_command_that_helps(store: Path) -> None:
    member = min((store / "runs").glob("families*"))
    with pytest.raises(UserError, match=f"`dual-hpc evaluate {member.name} --split validation` writes them"):
        models_of(["families"], store, "validation_best")
    (member / "reports/test_best_predictions.jsonl").unlink()
    shutil.rmtree(member / "export")  # it failed: there is nothing that could be evaluated
    with pytest.raises(UserError, match=f"`dual-hpc why {member.name}` says why, `dual-hpc sweep --resubmit families`"):
        models_of(["families"], store)


def test_a_member_that_was_not_evaluated_is_named_with_what_to_do(store: Path) -> None:
    member = next((store / "runs").glob("families*"))
    (member / "reports/test_best_predictions.jsonl").unlink()
    with pytest.raises(UserError, match=r"has no predictions .*`dual-hpc sweep --evaluate families` writes them"):
        models_of(["families"], store)
    with pytest.raises(UserError, match=f"`dual-hpc evaluate {member.name} --checkpoint last` writes them"):
        models_of([member.name], store, "test_last")
