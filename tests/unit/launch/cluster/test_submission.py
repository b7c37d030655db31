"""What reaches sbatch, with a program of that name in its place. The real one: tests/slurm."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from dual_hpc.config import load_config
from dual_hpc.errors import EnvironmentFault
from launch.cluster import client
from launch.cluster.profiles import load_profile
from launch.cluster.sbatch import PICKLE_SECONDS, pickle_lines, sbatch_parameters
from launch.cluster.slurm import MARK
from launch.cluster.submission import submit_jobs


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


TIMED_OUT = "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"


def programs(folder: Path, sbatch: str, squeue: str) -> None:
    """Put these shell scripts in the place of Slurm's; `try` counts the calls of sbatch."""
    count = f'echo x >> {folder}/tries; try=$(wc -l < {folder}/tries); echo "$1" > {folder}/submitted\n'
    for name, text in (("sbatch", count + sbatch), ("squeue", squeue)):
        (folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (folder / name).chmod(0o755)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_PAUSE", 0.01)


def test_an_sbatch_that_did_not_reach_slurm_is_called_again(tmp_path: Path, sbatch: Path, impatient: None) -> None:
    accepted = 'echo "Your project has used 12 % of job 99"; echo "Submitted batch job 8 on cluster jz"'
    programs(sbatch, f'[ "$try" = 3 ] && {{ {accepted}; exit 0; }}; echo "{TIMED_OUT}" >&2; exit 1', "exit 0")
    for count, ids in ((1, ["8"]), (2, ["8_0", "8_1"])):
        (sbatch / "tries").unlink(missing_ok=True)
        jobs = submit_jobs([(print, (number,)) for number in range(count)], tmp_path, parameters(tmp_path))
        assert [job.job_id for job in jobs] == ids
        assert all(job.paths.submitted_pickle.exists() for job in jobs)
        assert (sbatch / "tries").read_text().count("x") == 3


def test_a_job_that_slurm_accepted_without_saying_so_is_found_and_not_submitted_twice(
    tmp_path: Path, sbatch: Path, impatient: None
) -> None:
    queue = f'echo "CLUSTER: jz"; echo "{MARK}|7|/x/other.sh"; echo "{MARK}|9|$(cat {sbatch}/submitted)"'
    down = f'[ -e {sbatch}/asked ] || {{ touch {sbatch}/asked; echo "{TIMED_OUT}" >&2; exit 1; }}; {queue}'
    programs(sbatch, f'echo "{TIMED_OUT}" >&2; exit 1', down)
    (job,) = submit_jobs([(print, ())], tmp_path, parameters(tmp_path))
    assert job.job_id == "9" and (sbatch / "tries").read_text() == "x\n"


def test_a_slurm_that_never_answers_is_reported_with_what_it_said(
    tmp_path: Path, sbatch: Path, impatient: None, capsys: pytest.CaptureFixture[str]
) -> None:
    programs(sbatch, f'echo "{TIMED_OUT}" >&2; exit 1', f'echo "{TIMED_OUT}" >&2; exit 1')
    with pytest.raises(EnvironmentFault, match=r"^the job was not submitted: Slurm does not answer .*try again later"):
        submit_jobs([(print, ())], tmp_path, parameters(tmp_path), patience=0.2)
    assert (sbatch / "tries").read_text() == "x\n", "where even the queue is silent, a second job may be too many"
    assert capsys.readouterr().err.count("trying again") == 1
    assert not list((tmp_path / "logs").glob(".submission_file*"))


def test_a_job_whose_submission_was_killed_says_so_and_ends(tmp_path: Path) -> None:
    """The lines before srun, as bash runs them: with what the job is to call, and without."""
    logs = tmp_path / "a folder" / "logs"
    logs.mkdir(parents=True)
    script = "\n".join([*pickle_lines(logs.parent), "echo begun"]).replace(f"seq {PICKLE_SECONDS}", "seq 1")
    for variables, name in (
        ({"SLURM_JOB_ID": "7"}, "7"),
        ({"SLURM_JOB_ID": "8", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3"}, "7_3"),
    ):
        job = ["bash", "-c", script]
        done = subprocess.run(job, env=os.environ | variables, capture_output=True, text=True, check=False)
        assert done.returncode == 1 and "was killed before it could record it" in done.stderr and not done.stdout
        (logs / f"{name}_submitted.pkl").touch()
        assert subprocess.run(job, env=os.environ | variables, capture_output=True, check=True).stdout == b"begun\n"


@pytest.mark.parametrize("count", [1, 2])
def test_nobody_else_can_write_what_is_submitted_whatever_the_umask(count: int, tmp_path: Path, sbatch: Path) -> None:
    (sbatch / "sbatch").write_text(f'#!/bin/sh\nstat -c %a "$1" > {tmp_path}/mode; echo "Submitted batch job 7"\n')
    before = os.umask(0)
    try:
        submit_jobs([(print, (number,)) for number in range(count)], tmp_path, parameters(tmp_path))
    finally:
        os.umask(before)
    assert (tmp_path / "mode").read_text().strip() == "644"
    files = [path for path in (tmp_path / "logs").iterdir() if path.suffix in (".pkl", ".sh")]
    assert len(files) > count and [path.name for path in files if path.stat().st_mode & 0o022] == []
