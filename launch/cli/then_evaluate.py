"""`dual-hpc submit --then evaluate`: the test scores of a run, by a job that waits for it."""

from __future__ import annotations

from dual_hpc.errors import UserError
from launch.cli.command_job import run_in_job
from launch.cluster.profiles import Profile
from launch.commands.submit import submit_command
from launch.runs.plan import PlannedRun

EVALUATION_HOURS = 2.0  # at most


def check_then(plan: PlannedRun, profile: Profile) -> None:
    """Refuse `--then` where no job can wait for the end of the run.

    Raises:
        UserError: see above.
    """
    if profile.executor == "local":
        raise UserError(f"--then: {profile.name} has no queue; write `dual-hpc train ... && dual-hpc evaluate NAME`")
    if not profile.requeue:
        raise UserError(
            f"--then: on {profile.name} a run goes on in new jobs, which nothing can wait for (requeue: false): submit "
            f"`-- evaluate {plan.path.name}` when it has finished"
        )


def submit_evaluation(plan: PlannedRun, profile: Profile, job_id: str) -> str:
    """Submit the evaluation of a run that was just submitted; the line that names it."""
    changes = {"nodes": 1, "ranks_per_node": 1, "hours": min(plan.config.launch.hours, EVALUATION_HOURS)}
    config = plan.config.model_copy(deep=True)
    config.launch = config.launch.model_copy(update={**changes, "after": [job_id], "nodelist": None, "begin": None})
    words = ["evaluate", str(plan.path)]
    (evaluation,), job = submit_command(run_in_job, words, 1, config, profile, plan.config.plugins)
    return f"job {evaluation} evaluates it when it has finished: `dual-hpc status {job.name}`"
