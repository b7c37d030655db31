"""A sweep of four as one array; the member that fails is submitted again, alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dual_hpc.run.directory import RunDir
from dual_hpc.tracking.mlflow_store import store_of
from launch.records import submissions
from tests.slurm.observe import slurm

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]


def test_a_sweep_of_four_of_which_one_fails(cluster: Any) -> None:
    cluster.sweep("study", "--grid", "seeds=0..3", "--parallel", 2, "training.max_steps=2", "launch.nodes=1")
    runs = [RunDir.open(cluster.store / "runs" / f"study.seed-{seed}") for seed in range(4)]
    jobs = [submissions.last_job(submissions.read(run.path)) for run in runs]
    assert len({str(job).split("_")[0] for job in jobs}) == 1
    assert [str(job).split("_")[1] for job in jobs] == ["0", "1", "2", "3"]
    cluster.until("the first member runs", lambda: cluster.queue(runs[0]) == "RUNNING")
    slurm("scancel", str(jobs[0]))
    for run in runs[1:]:
        cluster.finish(run)
    assert states(cluster) == ["cancelled"] + ["finished"] * 3

    cluster.dual("sweep", "--resubmit", "study")
    again = submissions.last_job(submissions.read(runs[0].path))
    assert again not in jobs and [submissions.last_job(submissions.read(run.path)) for run in runs[1:]] == jobs[1:]
    cluster.finish(runs[0])
    shown = json.loads(cluster.dual("sweep", "--show", "study", "--json"))
    assert [member["state"] for member in shown["members"]] == ["finished"] * 4
    assert shown["scores"]["validation"]["runs"] == 4
    config = runs[0].config()
    with store_of(config).client() as client:
        parent = client.get_run(config.tracking.tags["mlflow.parentRunId"])
        query = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
        children = client.search_runs([parent.info.experiment_id], query)
    assert parent.info.status == "FINISHED" and parent.data.metrics["validation/runs"] == 4
    assert {child.data.tags["dual.run_id"] for child in children} == {run.identity().run_id for run in runs}


def states(cluster: Any) -> list[str]:
    return [member["state"] for member in json.loads(cluster.dual("sweep", "--show", "study", "--json"))["members"]]
