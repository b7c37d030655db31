"""What a job inherits, and which run a job of an array belongs to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dual_hpc.config import load_config
from dual_hpc.config.schema import LaunchConfig
from dual_hpc.errors import UserError
from dual_hpc.run.directory import RunDir
from launch import aftermath
from launch.cluster.profiles import load_profile
from launch.cluster.sbatch import sbatch_text
from launch.commands.submit import task_words
from launch.job.on_failure import slurm_job_id
from launch.records import submissions
from launch.runs.plan import PlannedRun, plan_resumption
from launch.runs.submit import record_plugins, transactional_dirs, warn_where_untracked
from launch.sweeps.grid import SweepDir, folder, grid
from tests.unit.other_user import as_other_user, needs_root, open_folder


def test_the_members_of_an_array_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder(tmp_path, "cv")
    path.mkdir(parents=True)
    sweep = SweepDir(path, grid("cv", ["folds=1,2"]))
    sweep.save()
    for number, run in enumerate(sweep.runs()):
        run.path.mkdir(parents=True)
        submissions.record(run.path, submissions.Entry(event="submit", job_id=f"7_{number}"))
    monkeypatch.setenv("SLURM_JOB_ID", "9")
    assert slurm_job_id() == "9"
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "7")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    assert slurm_job_id() == "7_1"
    assert aftermath.run_of(path, "7_1") == sweep.runs()[1].path


def test_a_run_goes_on_as_it_was_asked_for_last(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path / "runs" / "demo", load_config("demo", [f"store={tmp_path}"]))
    with pytest.raises(UserError, match="never submitted"):
        plan_resumption(run, [])
    asked = LaunchConfig(profile="gone.yaml", nodes=3, hours=7, partition="low")
    entry = submissions.Entry(event="submit", job_id="1", request=asked, profile=load_profile("dev"))
    submissions.record(run.path, entry)
    plan, profile = plan_resumption(run, ["launch.hours=9"])
    assert plan.config.launch == asked.model_copy(update={"hours": 9}) and profile == load_profile("dev")
    assert plan_resumption(run, ["launch.profile=template"])[1].name == "template"
    assert plan_resumption(run, ["checkpoint.every_steps=9"])[0].config.checkpoint.every_steps == 9
    with pytest.raises(UserError, match="only launch"):
        plan_resumption(run, ["optim.lr=1"])


def test_a_profile_that_is_named_anew_is_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("max_nodes: 1\n")
    run = RunDir.create(tmp_path / "runs" / "demo", load_config("demo", [f"store={tmp_path}"]))
    asked = LaunchConfig(profile=str(tmp_path / "mine.yaml"))
    submissions.record(
        run.path, submissions.Entry(event="submit", job_id="1", request=asked, profile=load_profile("mine.yaml"))
    )
    Path("mine.yaml").write_text("max_nodes: 2\n")
    assert plan_resumption(run, [])[1].max_nodes == 1
    plan, profile = plan_resumption(run, ["launch.profile=mine.yaml"])
    assert profile.max_nodes == 2 and plan.config.launch.profile == str(tmp_path / "mine.yaml")


def test_one_submission_at_a_time_in_a_store_and_nothing_is_left_of_one_that_failed(tmp_path: Path) -> None:
    paths = [tmp_path / "store" / "sweeps" / "cv", tmp_path / "store" / "runs" / "cv.0"]
    probe = "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)"

    def others_wait() -> bool:
        return (
            subprocess.run([sys.executable, "-c", probe, tmp_path / "store"], stderr=subprocess.DEVNULL).returncode == 1
        )

    with pytest.raises(KeyboardInterrupt), transactional_dirs(paths):
        assert all(path.is_dir() for path in paths) and others_wait()
        raise KeyboardInterrupt
    assert not any(path.exists() for path in paths) and not others_wait()
    with transactional_dirs(paths):
        pass
    with pytest.raises(OSError), transactional_dirs([*paths, tmp_path / "store" / "runs" / "cv.1"]):
        raise OSError
    assert all(path.is_dir() for path in paths) and not (tmp_path / "store" / "runs" / "cv.1").exists()


def test_paths_and_names_are_no_shell(tmp_path: Path) -> None:
    run = tmp_path / "it's $(touch x); a run"
    text = sbatch_text(load_profile("dev"), LaunchConfig(profile="dev"), run, "/my python/bin/python")
    lines = [line for line in text.splitlines() if "code.zip" in line]
    quoted = "'" + str(run / "code.zip").replace("'", "'\"'\"'") + "'"
    assert len(lines) == 2 and all(f"'/my python/bin/python' {quoted}" in line for line in lines)


def test_the_tasks_of_a_command_share_its_work() -> None:
    assert task_words(["extract", "x"], 0, 1, 8) == ["extract", "x"]
    assert task_words(["extract"], 2, 4, 8) == ["extract", "--array-index", "2", "--array-count", "4"]
    assert task_words(["pack", "meld"], 0, 1, 8) == ["pack", "meld", "--workers", "8"]
    for told in (["--workers", "2"], ["--workers=2"]):
        assert task_words(["pack", *told], 0, 1, 8) == ["pack", *told]


def test_new_code_with_another_plugin_is_recorded_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    plugin = tmp_path / "plugin_of_a_test.py"
    plugin.write_text("FIRST = True\n")
    config = load_config("demo", [f"store={tmp_path}", "plugins=[plugin_of_a_test]"])
    run = PlannedRun(tmp_path / "runs" / "one", config).open()
    first = run.identity().plugins["plugin_of_a_test"]
    record_plugins(run, config.plugins)
    assert capsys.readouterr().err == ""
    plugin.write_text("FIRST = False\n")
    record_plugins(run, config.plugins)
    assert "plugin plugin_of_a_test has changed since the run began" in capsys.readouterr().err
    assert RunDir.open(run.path).identity().plugins["plugin_of_a_test"] != first


@needs_root
def test_a_user_whose_jobs_could_not_be_tracked_is_told_before_they_wait(capfd: pytest.CaptureFixture[str]) -> None:
    with open_folder() as store:
        (store / "mlflow.db").touch(0o644)
        config = load_config("demo", [f"store={store}"])
        assert as_other_user(lambda: warn_where_untracked(config)) == "None"
        told = capfd.readouterr().err
        assert told.count("\n") == 1 and f"ask root for `chmod g+w {store}`" in told and "dual-hpc sync" in told
        store.chmod(0o777)
        (store / "mlflow.db").chmod(0o666)
        assert as_other_user(lambda: warn_where_untracked(config)) == "None"
        assert capfd.readouterr().err == ""
