"""What reaches sbatch, with a program of that name in its place. The real one: tests/slurm."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dual_hpc.config import load_config
from dual_hpc.errors import EnvironmentFault
from launch.cluster.profiles import load_profile
from launch.cluster.sbatch import sbatch_parameters
from launch.cluster.submission import hold_back_stderr, submit_jobs


@pytest.fixture
def sbatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with programs that accept every job as number 7; they keep the file and the environment."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sbatch", "srun"):
        script = f'#!/bin/sh\ncp "$1" {tmp_path}/file; env > {tmp_path}/env; echo "Submitted batch job 7"\n'
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    monkeypatch.setenv("SLURM_JOB_ID", "6")
    return programs


def parameters(folder: Path) -> dict[str, object]:
    request = load_config("demo", ["launch.profile=dev"]).launch
    return sbatch_parameters(load_profile("dev"), request, folder, "python")


def test_one_call_is_a_job_and_several_are_an_array(tmp_path: Path, sbatch: Path) -> None:
    for count, ids in ((1, ["7"]), (3, ["7_0", "7_1", "7_2"])):
        jobs = submit_jobs([(print, (number,)) for number in range(count)], tmp_path, parameters(tmp_path))
        assert [job.job_id for job in jobs] == ids
        text = (tmp_path / "file").read_text()
        assert ("--array=0-2" in text) == (count == 3) and f"{tmp_path}/code.zip" in text
    assert "SLURM_JOB_ID" not in (tmp_path / "env").read_text() and os.environ["SLURM_JOB_ID"] == "6"


@pytest.mark.parametrize(("count", "what"), [(1, "the job"), (2, "the array of 2 jobs")])
def test_every_refusal_is_the_same_error_in_one_line(
    count: int, what: str, tmp_path: Path, sbatch: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (sbatch / "sbatch").write_text("#!/bin/sh\necho 'sbatch: error: Invalid\n account' >&2\nexit 1\n")
    with pytest.raises(EnvironmentFault, match=f"^sbatch refused {what}: ") as refused:
        submit_jobs([(print, (number,)) for number in range(count)], tmp_path, parameters(tmp_path))
    assert "Invalid account" in str(refused.value) and "\n" not in str(refused.value)
    assert capfd.readouterr().err == "", "it is said once, by the caller"


def test_what_is_written_meanwhile_is_shown_once_it_is_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    import sys

    with hold_back_stderr():
        print("sbatch: warning", file=sys.stderr)
        assert capsys.readouterr().err == ""
    assert capsys.readouterr().err == "sbatch: warning\n"
