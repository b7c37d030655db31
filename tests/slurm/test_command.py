"""Packing as an array of tasks gives the data set that one process gives; a job scores a run when it ends."""

from __future__ import annotations

from typing import Any

import pytest

from dual_hpc.data.format.index import INDEX_NAME, read_index
from tests.slurm.observe import ends, slurm, step_of

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]


def test_two_tasks_pack_one_data_set(cluster: Any) -> None:
    out = cluster.store / "shards" / "iemocap"
    words = ("pack", "iemocap", cluster.shards.parent / "raw", "--out", out, "--video-size", 48, "--workers", 1)
    cluster.dual("submit", "--profile", "dev", "launch.cpus_per_rank=1", "--tasks", 2, "--", *words)
    cluster.until("the index is written", lambda: (out / INDEX_NAME).exists(), 200)
    assert read_index(out).dataset_id == read_index(cluster.shards).dataset_id


@pytest.mark.slow
def test_an_evaluation_waits_for_the_end_of_its_run_also_where_it_is_requeued(cluster: Any) -> None:
    run = cluster.submit("scored", "launch.nodes=1", "training.max_steps=20", "--then", "evaluate")
    cluster.until("it trains", lambda: step_of(run) >= 1)
    slurm("scancel", "--signal=USR2", cluster.job(run))
    name = next(path.name for path in (cluster.store / "jobs").iterdir() if path.name.startswith("evaluate-"))
    assert cluster.status(name)["state"] == "queued"
    cluster.until("it is scored", lambda: cluster.status(name)["state"] == "finished", 280)
    assert [reason for reason, _ in ends(run)] == ["stopped", "finished"]
    assert (run.reports / "test_best.json").exists()
