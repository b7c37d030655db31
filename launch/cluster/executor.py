"""submitit's executor for a Slurm that does not always answer.

submitit writes the batch files and the pickles. Its sbatch is replaced: one that could not reach Slurm is called again,
and one that Slurm accepted without saying so is found by its batch file, whose name no other job has.
"""

from __future__ import annotations

import copy
import re
import uuid
from pathlib import Path
from typing import Any

from submitit import Job
from submitit.core.utils import DelayedSubmission, JobPaths
from submitit.slurm.slurm import SlurmExecutor

from dual_hpc.errors import EnvironmentFault
from dual_hpc.files.disk_error import naming
from launch.cluster.client import call, retry
from launch.cluster.slurm import MARK


class PatientExecutor(SlurmExecutor):
    """submitit's executor, whose sbatch is called again where Slurm did not answer."""

    def __init__(self, folder: Path, python: str, patience: float) -> None:
        super().__init__(folder, python=python)
        self._patience = patience

    def _internal_process_submissions(self, delayed_submissions: list[DelayedSubmission]) -> list[Job[Any]]:
        """As submitit's own, whose arrays are handed in by a plain SlurmExecutor."""
        if len(delayed_submissions) == 1:
            return list(super()._internal_process_submissions(delayed_submissions))
        folder = JobPaths.get_first_id_independent_folder(self.folder)
        folder.mkdir(parents=True, exist_ok=True)
        pickles = []
        for submission in delayed_submissions:
            submission.set_timeout(self.parameters.get("time", 5), self.max_num_timeout)
            pickles.append(folder / f"{uuid.uuid4().hex}.pkl")
            submission.dump(pickles[-1])
        array = copy.copy(self)
        array.parameters = self.parameters | {"map_count": len(pickles)}
        first = array._submit_command(self._submitit_command_str)
        tasks = list(range(first.num_tasks))
        jobs: list[Job[Any]] = [
            self.job_class(self.folder, f"{first.job_id}_{number}", tasks) for number in range(len(pickles))
        ]
        for job, pickle in zip(jobs, pickles, strict=True):
            job.paths.move_temporary_file(pickle, "submitted_pickle")
        return jobs

    def _submit_command(self, command: str) -> Job[Any]:
        mark = uuid.uuid4().hex
        file = JobPaths.get_first_id_independent_folder(self.folder) / f".submission_file_{mark}.sh"
        file.touch(0o644)  # a group that may write it would decide what is submitted
        with naming(file):
            file.write_text(self._make_submission_file_text(command, mark))
        try:
            job_id = sbatch(file, self._patience)
        except BaseException:
            file.unlink(missing_ok=True)
            raise
        job = self.job_class(folder=self.folder, job_id=job_id, tasks=list(range(self._num_tasks())))
        job.paths.move_temporary_file(file, "submission_file", keep_as_symlink=True)
        self._write_job_id(job.job_id, mark)
        self._set_job_permissions(job.paths.folder)
        return job


def sbatch(file: Path, patience: float) -> str:
    """Submit a batch file once; the job's id. Call `without_allocation`.

    Raises:
        SlurmSilent: Slurm does not answer.
        EnvironmentFault: it refused the job.
    """

    unsure = False

    def submit_or_find() -> str:
        nonlocal unsure
        # Only a queue that answers tells an sbatch that was lost from one that was accepted.
        if unsure and (found := find_job(file)) is not None:
            return found
        unsure = True
        said = call(["sbatch", str(file)], 0)
        job_id = re.search(r"^Submitted batch job (\d+)", said, re.MULTILINE)
        if job_id is None:
            raise EnvironmentFault(f"sbatch: its answer names no job: {said.strip()[:200]}")
        return job_id[1]

    return retry(submit_or_find, patience)


def find_job(file: Path) -> str | None:
    """The job of a batch file that waits, runs or has just ended; None if Slurm has none.

    Raises:
        SlurmSilent: Slurm does not answer.
    """
    words = ["squeue", "--me", "--noheader", "--states=all", f"--format={MARK}|%F|%o"]
    for line in call(words, 0).splitlines():
        mark, _, rest = line.partition("|")
        job_id, _, command = rest.partition("|")
        if mark == MARK and file.name in command:
            return job_id
    return None
