"""Packing as an array of tasks gives the data set that one process gives."""

from __future__ import annotations

from typing import Any

import pytest

from dual_hpc.data.format.index import INDEX_NAME, read_index

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(300)]


def test_two_tasks_pack_one_data_set(cluster: Any) -> None:
    out = cluster.store / "shards" / "iemocap"
    words = ("pack", "iemocap", cluster.shards.parent / "raw", "--out", out, "--video-size", 48, "--workers", 1)
    cluster.dual("submit", "--profile", "dev", "launch.cpus_per_rank=1", "--tasks", 2, "--", *words)
    cluster.until("the index is written", lambda: (out / INDEX_NAME).exists(), 200)
    assert read_index(out).dataset_id == read_index(cluster.shards).dataset_id
