"""Which nodes the next submission avoids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from dual_hpc.config import load_config
from dual_hpc.config.schema import LaunchConfig
from dual_hpc.run.directory import RunDir
from launch.cluster import slurm
from launch.cluster.hostlist import expand_hosts
from launch.cluster.profiles import load_profile
from launch.records import submissions
from launch.runs import evidence, status
from launch.runs.unfit_nodes import nodes_to_avoid
from tests.unit.launch.fake_slurm import sacct, squeue

LACKS = "slurmstepd-{node}: error: execve(): /env/bin/python: No such file\n"


def failed_run(tmp_path: Path, name: str, job: str, output: str) -> RunDir:
    run = RunDir.create(tmp_path / "runs" / name, load_config("demo", [f"store={tmp_path}"]))
    submissions.record(run.path, submissions.Entry(event="submit", job_id=job, profile=load_profile("dev")))
    (run.logs / f"{job}_0_log.out").write_text(output)
    return run


def answer_with(monkeypatch: pytest.MonkeyPatch, nodes_of: dict[str, str]) -> None:
    """A Slurm in which these jobs failed on these nodes."""

    def answer(words: Sequence[str], patience: float) -> str:
        asked = " ".join(words)
        jobs = {job: nodes for job, nodes in nodes_of.items() if job in asked}
        if words[0] == "squeue":
            return squeue("".join(f"{job}|FAILED|None|{nodes}\n" for job, nodes in jobs.items()))
        return sacct("".join(f"{job}|FAILED|2:0|{nodes}\n" for job, nodes in jobs.items()))

    for module in (slurm, evidence, status):
        monkeypatch.setattr(module, "available", lambda: True)
    monkeypatch.setattr(slurm, "call", answer)


@pytest.mark.parametrize(
    ("batch", "nodes", "wanted", "avoided"),
    [
        ("n4", "n[3-4]", None, ["n4"]),
        ("n4", "n4", None, ["n4"]),
        ("n4", "n[3-4]", "n[4-5]", []),
        ("n[3-4]", "n[3-4]", None, []),
    ],
)
def test_a_node_that_was_not_fit_is_avoided_by_whoever_resumes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    batch: str,
    nodes: str,
    wanted: str | None,
    avoided: list[str],
) -> None:
    exits = (
        f"srun: error: {node}: task {0 if node == expand_hosts(nodes)[0] else 1}: Exited with exit code 2\n"
        for node in expand_hosts(batch)
    )
    output = "".join(LACKS.format(node=node) for node in expand_hosts(batch)) + "".join(exits)
    run = failed_run(tmp_path, "demo", "7", output)
    (run.logs / "7_1_log.out").write_text(LACKS.format(node="n4"))
    answer_with(monkeypatch, {"7": nodes})
    assert list(nodes_to_avoid([run], LaunchConfig(nodelist=wanted))) == avoided
    said = capsys.readouterr().err
    assert all(f"{node} is avoided: execve(): /env/bin/python" in said for node in avoided)
    assert bool(said) == bool(avoided)


def test_a_run_that_was_never_submitted_avoids_none(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path / "runs" / "demo", load_config("demo", [f"store={tmp_path}"]))
    assert nodes_to_avoid([run], LaunchConfig()) == {}


@pytest.mark.parametrize(("fit", "avoided"), [(1, ["n1", "n2"]), (0, [])])
def test_members_of_a_sweep_avoid_the_nodes_of_all_but_where_none_was_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fit: int, avoided: list[str]
) -> None:
    """Three members, each on a node of its own; the third fails for another reason, or as the others do."""
    bad = {
        job: LACKS.format(node=f"n{job}") + f"srun: error: n{job}: task 0: Exited with exit code 2\n" for job in "12"
    }
    third = "Traceback" if fit else LACKS.format(node="n3") + "srun: error: n3: task 0: Exited with exit code 2\n"
    runs = [failed_run(tmp_path, f"cv.{job}", job, text) for job, text in {**bad, "3": third}.items()]
    answer_with(monkeypatch, {"1": "n1", "2": "n2", "3": "n3"})
    assert list(nodes_to_avoid(runs, LaunchConfig())) == avoided
