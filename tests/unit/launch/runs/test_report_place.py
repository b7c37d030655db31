"""Where the report of a run goes: into the run where its user asks, else into a folder of the one who asks."""

from __future__ import annotations

from pathlib import Path

import pytest

from dual_hpc.config import load_config
from dual_hpc.errors import UserError
from dual_hpc.run.directory import RunDir
from launch.runs.report_place import report_folder
from tests.unit.other_user import as_other_user, needs_root, open_folder


def test_a_run_of_one_s_own_keeps_its_reports_unless_a_folder_is_named(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path / "runs" / "demo", load_config("demo", [f"store={tmp_path}"]))
    assert report_folder(run) == run.reports
    assert report_folder(run, tmp_path / "new") == tmp_path / "new"
    with pytest.raises(UserError, match=r"--out: .* is not a folder"):
        report_folder(run, run.config_file)


@needs_root
def test_a_colleague_s_run_is_scored_only_into_a_folder_that_is_named() -> None:
    with open_folder() as store:
        run = RunDir.create(store / "runs" / "hers", load_config("demo", [f"store={store}"]))

        def ask() -> None:
            with pytest.raises(UserError, match=r"hers is a run of root, .*--out DIR"):
                report_folder(run)

        assert as_other_user(ask) == "None"
        assert as_other_user(lambda: report_folder(run, store / "mine")) == str(store / "mine")
        run.reports.chmod(0o777)  # of a run of an earlier version, under umask 002
        assert as_other_user(lambda: report_folder(run)) == str(run.reports)
