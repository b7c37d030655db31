"""Every end of a run, brought about on the real Slurm: what `why` says, the state in `runs`, and MLflow's status.

All of them are brought about first, several at a time, and then looked at as a user would: `make slurm-long`.
"""

from __future__ import annotations

import json
import re
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from dual_hpc.run.directory import RunDir
from dual_hpc.tracking.mlflow_sync import sync
from launch.cluster.state import ACTIVE, State
from launch.records import submissions
from launch.runs.findings import Diagnosis
from launch.runs.status import states_at_rest
from tests.slurm.ends import ENDS, End
from tests.slurm.observe import needs_namespaces, slurm
from tests.slurm.scene import LATER, Scene, mlflow_status

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(2400)]
AT_ONCE = 4  # a job that starts takes a core for ten seconds
SETTLING = 300.0  # seconds until accounting has it, and all jobs have gone on as far as they do


@dataclass
class Seen:
    """What was found, by the name of the run.

    Attributes:
        broken: the ends that could not be brought about, and why.
        said: by `why`.
        listed: the states in `runs`.
        tracked: the status of MLflow's run.
    """

    broken: dict[str, str] = field(default_factory=dict)
    said: dict[str, Diagnosis] = field(default_factory=dict)
    listed: dict[str, str] = field(default_factory=dict)
    tracked: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def seen(cluster: Any, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Seen]:
    """Brings about the ends of those tests that were selected (`-k disk_full`)."""
    needs_namespaces()
    scene, found = Scene(cluster, tmp_path_factory.mktemp("ends")), Seen()
    selected = [item.callspec.params.get("end") for item in request.session.items if hasattr(item, "callspec")]
    tracking = threading.Lock()  # one database

    def make(end: End) -> None:
        try:
            end.make(scene)
            run = scene.run(end.name)
            scene.until(f"{end.name} is {end.state}", lambda: scene.why(end.name).state is end.state, SETTLING)
            if end.mlflow:
                with tracking:  # as `dual-hpc sync` does, without the curves
                    sync(run, artifacts=False, state=states_at_rest([run]).get(run.path))
                    found.tracked[end.name] = mlflow_status(run)
        except Exception:
            found.broken[end.name] = traceback.format_exc()
            print(end.name, found.broken[end.name], flush=True)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(make, [end for end in ENDS if end in selected]))
    rows = map(json.loads, scene.dual("runs", "--json").splitlines())
    found.listed = {row["name"]: row["state"] for row in rows}
    found.said = {end.name: scene.why(end.name) for end in ENDS if end.name in found.listed}
    yield found
    cluster.cancel_left()


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.make.__name__)
def test_every_end_is_explained_listed_and_tracked_as_what_it_was(seen: Seen, end: End) -> None:
    assert end.name not in seen.broken, seen.broken[end.name]
    why = seen.said[end.name]
    assert all(re.search(word, why.sentence) for word in end.said), why.sentence
    assert end.advised in why.advice and (why.advice or why.state in ACTIVE)
    assert (why.state, seen.listed[end.name]) == (end.state, end.state.value)
    assert seen.tracked.get(end.name, "") == end.mlflow


def test_nobody_who_is_dead_runs_in_mlflow(seen: Seen, cluster: Any) -> None:
    dead = [end.name for end in ENDS if end.state not in (*ACTIVE, State.FINISHED) and end.name in seen.tracked]
    assert {seen.tracked[name] for name in dead} <= {"FAILED", "KILLED"}
    for name in dead[:2]:  # with all that a user sends
        cluster.dual("sync", name)
        assert mlflow_status(RunDir.open(cluster.store / "runs" / name)) == seen.tracked[name]


def test_a_hang_leaves_the_stacks_of_all_threads(seen: Seen, cluster: Any) -> None:
    if "end-stuck" not in seen.said:
        pytest.skip("that end was not selected")
    log = RunDir.open(cluster.store / "runs" / "end-stuck").logs / "rank_0000.log"
    assert "Thread 0x" in log.read_text()


def test_a_node_that_was_not_fit_is_left_by_who_resumes(seen: Seen, cluster: Any) -> None:
    if "end-environment-not-there" not in seen.said:
        pytest.skip("that end was not selected")
    cluster.dual("resume", "end-environment-not-there", "launch.nodelist=null", LATER)
    run = RunDir.open(cluster.store / "runs" / "end-environment-not-there")
    assert submissions.read(run.path)[-1].bad_nodes == ["n4"]
    assert "ExcNodeList=n4" in slurm("scontrol", "show", "job", cluster.job(run))
    cluster.dual("cancel", "end-environment-not-there")
