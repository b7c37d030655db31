"""The run directory: made once, opened again, refused when it is something else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from dual_hpc.config import RunConfig, load_config
from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.run.directory import RunDir, Segment, write_json


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    return load_config("demo", [f"store={tmp_path}"])


def test_the_same_command_again_takes_up_the_same_run(tmp_path: Path, config: RunConfig) -> None:
    first = RunDir.create(tmp_path / "run", config, code_version="abc")
    again = RunDir.create(tmp_path / "run", config, code_version="def")
    assert again.identity() == first.identity()
    assert again.identity().code_version == "abc"
    assert again.config() == config


def test_another_launch_setting_continues_and_another_model_is_refused(tmp_path: Path, config: RunConfig) -> None:
    RunDir.create(tmp_path / "run", config)
    RunDir.create(tmp_path / "run", load_config("demo", [f"store={tmp_path}", "launch.hours=1"]))
    with pytest.raises(UserError, match=r"another configuration \(model\.use_sdm=true, not false\)"):
        RunDir.create(tmp_path / "run", load_config("demo", [f"store={tmp_path}", "model.use_sdm=false"]))


def test_a_run_goes_on_with_other_settings_that_decide_no_result(tmp_path: Path, config: RunConfig) -> None:
    run = RunDir.create(tmp_path / "run", config)
    before = run.config_file.stat().st_ino
    run.take_settings(load_config("demo", [f"store={tmp_path}", "launch.hours=1"]))
    assert run.config_file.stat().st_ino == before
    other = load_config("demo", [f"store={tmp_path}", "checkpoint.every_steps=7", "data.workers=0", "launch.hours=1"])
    run = RunDir.create(tmp_path / "run", other)
    run.take_settings(other)
    assert (run.config().checkpoint.every_steps, run.config().data.workers) == (7, 0)
    assert run.config().launch == config.launch


def test_a_directory_without_identity_was_never_submitted(tmp_path: Path, config: RunConfig) -> None:
    run = RunDir.create(tmp_path / "run", config)
    run.identity_file.unlink()
    with pytest.raises(UserError, match="not a run directory"):
        RunDir.open(tmp_path / "run")
    assert RunDir.create(tmp_path / "run", config).identity().name == config.name


def test_each_run_has_its_own_id(tmp_path: Path, config: RunConfig) -> None:
    made = [RunDir.create(tmp_path / name, config) for name in ("b", "a", "c")]
    assert len({run.identity().run_id for run in made}) == 3


def test_segments_of_earlier_versions_are_read(tmp_path: Path, config: RunConfig) -> None:
    run = RunDir.create(tmp_path / "run", config)
    run.segments_file.write_text(
        '{"event":"start","job_id":"12","time":1.5,"step":0,"world_size":2,"hosts":["n1"],"details":{"a":1}}\n'
    )
    assert run.segments() == [Segment(event="start", job_id="12", time=1.5, world_size=2, hosts=["n1"])]


def test_segments_survive_a_torn_line(tmp_path: Path, config: RunConfig) -> None:
    run = RunDir.create(tmp_path / "run", config)
    assert run.segments() == []
    run.append_segment(Segment(event="start", job_id="12", world_size=2))
    with open(run.segments_file, "a") as file:
        file.write('{"event": "sta\n')
    run.append_segment(Segment(event="end", job_id="12", step=40, reason="deadline"))
    assert [(s.event, s.job_id, s.step) for s in run.segments()] == [("start", "12", 0), ("end", "12", 40)]


def test_a_damaged_identity_is_one_clear_line(tmp_path: Path, config: RunConfig) -> None:
    run = RunDir.create(tmp_path / "run", config)
    run.identity_file.write_text('{"name": "x", "run_id": "../../etc"}')
    with pytest.raises(UserError, match="not a run's identity"):
        RunDir.open(run.path)


def test_a_store_that_is_a_file_is_the_environments_fault(tmp_path: Path, config: RunConfig) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFault, match="cannot be written"):
        RunDir.create(tmp_path / "file" / "run", config)


def test_json_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"é": 1})
    write_json(tmp_path / "a.json", {"b": 2})
    assert (tmp_path / "a.json").read_text() == '{\n  "b": 2\n}\n'
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_plugins_are_part_of_the_identity_and_change_with_new_code(tmp_path: Path, config: RunConfig) -> None:
    run = RunDir.create(tmp_path / "run", config, plugins={"mylab.emotion": "a" * 64})
    before = run.identity()
    assert before.plugins == {"mylab.emotion": "a" * 64}
    assert run.record_plugins(before.plugins) == []
    assert run.record_plugins({"mylab.emotion": "b" * 64}) == ["mylab.emotion"]
    assert run.identity() == before.model_copy(update={"plugins": {"mylab.emotion": "b" * 64}})


def test_the_identity_of_a_run_from_before_plugins_is_readable(tmp_path: Path, config: RunConfig) -> None:
    run = RunDir.create(tmp_path / "run", config)
    content = json.loads(run.identity_file.read_text())
    del content["plugins"]
    run.identity_file.write_text(json.dumps(content))
    assert RunDir.open(run.path).identity().plugins == {}


def test_new_values_add_no_keys_that_the_archived_code_does_not_know(tmp_path: Path, config: RunConfig) -> None:
    """A run's own code may be older than the command that resumes it, and refuses keys it does not know."""
    run = RunDir.create(tmp_path / "run", config)
    written = yaml.safe_load(run.config_file.read_text())
    del written["checkpoint"]["asynchronous"], written["tracking"]
    run.config_file.write_text(yaml.safe_dump(written))
    wanted = config.model_copy(deep=True)
    wanted.checkpoint.every_steps, wanted.data.workers = 7, 0
    run.take_settings(wanted)
    written["checkpoint"]["every_steps"], written["data"]["workers"] = 7, 0
    assert yaml.safe_load(run.config_file.read_text()) == written
    wanted.checkpoint.asynchronous = not config.checkpoint.asynchronous  # asked for by name: then it is written
    run.take_settings(wanted)
    assert run.config().checkpoint == wanted.checkpoint


def test_auto_is_written_so_that_code_which_only_knows_numbers_can_read_it(tmp_path: Path, config: RunConfig) -> None:
    run = RunDir.create(tmp_path / "run", config)

    def written() -> dict[str, Any]:
        data: dict[str, Any] = yaml.safe_load(run.config_file.read_text())["data"]
        return data

    run.take_settings(load_config(run.config_file, ["data.workers=3"]))
    assert written()["workers"] == 3
    run.take_settings(load_config(run.config_file, ["data.workers=auto", "data.read_ahead=9"]))
    assert "workers" not in written() and written()["read_ahead"] == 9
    assert run.config().data.workers == "auto"
