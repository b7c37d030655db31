"""Where the report of a run's evaluation goes, checked before the minutes of work that it takes."""

from __future__ import annotations

from pathlib import Path

from dual_hpc.errors import UserError
from dual_hpc.files.ownership import is_others, is_writable, owner
from dual_hpc.run.directory import RunDir


def report_folder(run: RunDir, out: Path | None = None) -> Path:
    """The run's reports/, or `out` where it is given.

    Raises:
        UserError: nobody but the run's owner may write there, or `out` is not a folder.
    """
    if out is not None:
        if out.exists() and not out.is_dir():
            raise UserError(f"--out: {out} is not a folder")
        return out
    place = run.reports if run.reports.exists() else run.path
    if is_others(run.path) and not is_writable(place):
        raise UserError(
            f"{run.path.name} is a run of {owner(run.path)}, and its reports cannot be written by you: "
            "`dual-hpc evaluate RUN --out DIR` writes the report into a folder of yours"
        )
    return run.reports
