"""Packing as a job: followed by the same verbs as a run, and failing with its own exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.data.format.index import read_index

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]


def submit(cluster: Any, tasks: int, *words: object, options: tuple[str, ...] = ()) -> str:
    """The name of the job that runs these words."""
    asked = ("--profile", "dev", "launch.cpus_per_rank=1", "launch.hours=0.5", *options, "--tasks", tasks, "--json")
    told = json.loads(cluster.dual("submit", *asked, "--", *words))
    cluster.started.append(told["job"])
    assert cluster.status(told["job"])["job_ids"] == told["job_ids"]
    return str(told["job"])


def ended(cluster: Any, name: str) -> dict[str, Any]:
    """The status of a job that has ended."""
    cluster.until(f"{name} ends", lambda: cluster.status(name)["state"] not in ("queued", "running", "ending"))
    return dict(cluster.status(name))


def test_jobs_of_verbs_end_as_their_verbs_do(cluster: Any, tmp_path: Path) -> None:
    raw, out = cluster.shards.parent / "raw", tmp_path / "packed"
    held = submit(cluster, 1, "pack", "iemocap", raw, "--out", tmp_path / "held", options=("launch.partition=high",))
    pack = submit(cluster, 2, "pack", "iemocap", raw, "--out", out, "--video-size", 48)
    broken = tmp_path / "broken.csv"
    broken.write_text("sound,words\n")
    refused = submit(cluster, 1, "pack", "manifest", broken, "--out", tmp_path / "mine")

    cluster.dual("cancel", held)
    assert ended(cluster, held)["state"] == "cancelled" and cluster.why(held)["cause"] == "cancelled"
    seen = ended(cluster, refused)
    assert (seen["state"], seen["exit_codes"]) == ("user error", [2])
    why = cluster.why(refused)
    assert why["cause"] == "user error" and "broken.csv" in why["sentence"]
    assert "dual-hpc: error: " in cluster.dual("logs", refused)
    seen = ended(cluster, pack)
    assert (seen["state"], seen["tasks"], seen["exit_codes"]) == ("finished", ["finished"] * 2, [0, 0])
    assert cluster.why(pack)["cause"] == "finished" and "packed 40 of 40" in "".join(
        cluster.dual("logs", pack, "--rank", task) for task in (0, 1)
    )
    assert read_index(out).dataset_id == read_index(cluster.shards).dataset_id
    listed = [json.loads(line) for line in cluster.dual("runs", "--json").splitlines()]
    states = {row["name"]: row["state"] for row in listed if row["kind"] == "job"}
    assert {name: states[name] for name in (held, pack, refused)} == {
        held: "cancelled",
        pack: "finished",
        refused: "user error",
    }
    assert "not a run" in cluster.dual("stop", pack, code=2)
