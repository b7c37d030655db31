"""A setting that came later than a run's code."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from dual_hpc.config import load_config
from dual_hpc.errors import UserError
from dual_hpc.run.directory import RunDir
from dual_hpc.run.names import CODE_ARCHIVE
from launch.cluster.code_archive import write_archive
from launch.runs.archived_settings import archived_settings, refuse_unknown_settings

EARLIER = (
    "class CheckpointConfig(Strict):\n    every_steps: int = 200\n\nclass DataConfig(Strict):\n    seed: int = 0\n"
)


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir.create(tmp_path / "runs" / "old", load_config("demo", [f"store={tmp_path}"]))


def with_earlier_code(run: RunDir, schema: str = EARLIER) -> None:
    with zipfile.ZipFile(run.path / CODE_ARCHIVE, "w") as packed:
        packed.writestr("dual_hpc/config/schema.py", schema)


def test_a_setting_that_the_archived_code_does_not_know_is_refused_and_named(run: RunDir) -> None:
    with_earlier_code(run)
    wanted = run.config().model_copy(deep=True)
    wanted.checkpoint.every_steps += 1
    refuse_unknown_settings(run, wanted)
    wanted.checkpoint.asynchronous = not wanted.checkpoint.asynchronous
    with pytest.raises(
        UserError, match=r"^checkpoint\.asynchronous: the code that old was submitted with .*--new-code"
    ):
        refuse_unknown_settings(run, wanted)


def test_auto_is_not_refused_as_it_is_written_as_a_missing_key(run: RunDir) -> None:
    run.take_settings(load_config(run.config_file, ["data.workers=3"]))
    with_earlier_code(run)
    refuse_unknown_settings(run, load_config(run.config_file, ["data.workers=auto"]))
    with pytest.raises(UserError, match=r"^data\.workers"):
        refuse_unknown_settings(run, load_config(run.config_file, ["data.workers=4"]))


def test_todays_archive_knows_every_setting_that_may_change(run: RunDir) -> None:
    from dual_hpc.config.identity import MUTABLE

    write_archive(run.path)
    assert {key for keys in MUTABLE.values() for key in keys} <= archived_settings(run.path / CODE_ARCHIVE)


@pytest.mark.parametrize("schema", ["class (", "\0"])
def test_an_archive_that_does_not_say_refuses_nothing(run: RunDir, schema: str) -> None:
    with_earlier_code(run, schema)
    assert archived_settings(run.path / CODE_ARCHIVE) == set()
    (run.path / CODE_ARCHIVE).write_bytes(b"no zip")
    wanted = run.config().model_copy(deep=True)
    wanted.checkpoint.every_steps += 1
    refuse_unknown_settings(run, wanted)
