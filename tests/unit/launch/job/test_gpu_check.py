"""Bad node or wrong installation, where a rank cannot compute on its GPU: one message each, and no job for nothing."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from dual_hpc.config.schema import LaunchConfig
from dual_hpc.errors import DualError, UserError
from launch.cluster import job_facts
from launch.cluster.job_facts import JobFacts
from launch.cluster.profiles import Profile
from launch.job import gpu_check, requeue
from launch.job.gpu_check import describe_device, gpu_identity, gpu_problem
from launch.job.node_faults import BadNode, WrongInstallation
from launch.job.preflight import check_node
from launch.job.rank import exit_code_of
from launch.job.roll_call import Report, judge
from launch.records import failures, submissions
from launch.records.submissions import Entry
from tests.unit.launch.job.pretended_gpu import TOO_OLD, Node


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Node:
    monkeypatch.setattr(gpu_check, "LEFT_OVER_SECONDS", 0.0)
    return Node(monkeypatch, tmp_path)


def test_a_good_gpu_passes_and_is_described(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpu_problem() is None
    assert describe_device() == (
        "this rank computes on GPU 0 of the 4 it sees, NVIDIA H100 (GPU-0); torch 2.13.0+cu130"
    )
    node.gpus(1)
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert gpu_problem() is None and "GPU 0 of the 1 it sees" in describe_device()


def cpu_wheel(node: Node) -> None:
    node.torch("2.13.0+cpu", None)
    node.gpus(0, "Torch not compiled with CUDA enabled")


def old_driver(node: Node) -> None:
    node.gpus(0, TOO_OLD)
    node.nvidia_smi("NVIDIA H100, 9.0, 535.104.05")


def old_driver_and_no_nvidia_smi(node: Node) -> None:
    node.gpus(0, TOO_OLD)
    (node.bin / "nvidia-smi").unlink()


def volta(node: Node) -> None:
    node.gpus(4, architecture="7.0")
    node.nvidia_smi("Tesla V100-SXM2-32GB, 7.0, 580.65.06")


def no_kernel_image(node: Node) -> None:
    node.fails("CUDA error: no kernel image is available for execution on the device\nmore")


def hidden(node: Node) -> None:
    node.monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    node.gpus(0)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (cpu_wheel, r"torch 2.13.0\+cpu is a build for the CPU, .*H100, sm_90, driver 580.* `make setup TORCH=cu130`"),
        (old_driver, r"CUDA 13.0, which needs NVIDIA driver 580 or later, .*driver 535.104.* `make setup TORCH=cu126`"),
        (old_driver_and_no_nvidia_smi, r"torch 2.13.0\+cu130 \(CUDA 13.0\): The NVIDIA driver .* too old"),
        (volta, r"code for sm_75, .* and none for the GPU \(.*sm_70, driver 580.* `make setup TORCH=cu126`"),
        (no_kernel_image, r"torch 2.13.0\+cu130 \(CUDA 13.0\): CUDA error: no kernel image is available"),
        (hidden, r"shows its ranks none \(CUDA_VISIBLE_DEVICES=''\): see `gpu_request` and `environment`"),
    ],
)
def test_what_is_installed_is_at_fault_and_not_the_node(node: Node, fault: Callable[[Node], None], words: str) -> None:
    fault(node)
    with pytest.raises(WrongInstallation, match=f"^installation: .*{words}") as caught:
        gpu_problem()
    assert "\n" not in str(caught.value)


def test_a_node_that_is_broken_is_at_fault_itself(node: Node) -> None:
    node.fails("CUDA error: uncorrectable ECC error encountered")
    assert gpu_problem() == "its GPU fails: CUDA error: uncorrectable ECC error encountered"
    node.gpus(0, "CUDA unknown error - this may be due to an incorrectly set up environment")
    assert str(gpu_problem()).startswith("its GPU fails: CUDA unknown error")


def left_over(node: Node) -> None:
    node.memory(13.5, 80)
    node.nvidia_smi("NVIDIA H100, 9.0, 580.65.06", 4, "4711, /usr/bin/python3, 66000")


def test_a_process_left_over_is_named_with_what_it_holds(node: Node) -> None:
    left_over(node)
    assert gpu_problem() == (
        "only 13.5 of 80.0 GB of its GPU are free: process 4711 (python3, 66000 MiB) is left over on it"
    )
    (node.bin / "nvidia-smi").unlink()
    assert "a process that nvidia-smi does not show" in str(gpu_problem())


def test_a_process_that_ends_in_time_is_waited_for(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_check, "LEFT_OVER_SECONDS", 60.0)
    answers = [(10, 80), (10, 80), (79, 80)]
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: answers.pop(0))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    assert gpu_problem() is None and answers == []


def two_ranks_for_one_gpu(node: Node) -> None:
    node.gpus(1)


def fewer_gpus_than_ranks(node: Node) -> None:
    node.gpus(2)
    node.monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    (folder / "logs").mkdir(parents=True)
    return folder


def end_of_job(run: Path, monkeypatch: pytest.MonkeyPatch, nodes: list[str], request: LaunchConfig) -> DualError | None:
    """Each rank's checks on this node, under each of these names; then what the job's batch script decides."""
    profile = Profile(name="cluster", gpus_per_node=4)
    if not submissions.read(run):
        submissions.record(run, Entry(event="submit", job_id="7", request=request, profile=profile))
    fault, reports = None, []
    for name in nodes:
        monkeypatch.setenv("SLURMD_NODENAME", name)
        problem = ""
        try:
            check_node(run, profile.has_gpus, None)
        except BadNode as error:
            problem = error.problem
        except DualError as error:
            fault = error
            break
        reports.append(Report(problem, "" if problem else gpu_identity()))
    fault = fault or judge(nodes, reports, 60).error()
    if fault is not None:
        said = failures.Failure(
            **{"job_id": "7", "rank": 0, "host": nodes[0], "message": str(fault), "log": ""},
            exit_code=exit_code_of(fault),
            bad_nodes=fault.nodes if isinstance(fault, BadNode) else [],
            installation=isinstance(fault, WrongInstallation),
        )
        failures.record(run / "logs", said)
    return fault


@pytest.fixture
def chained(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The nodes that each further job excludes."""
    jobs: list[list[str]] = []

    def submit(work: object, run: Path, request: object, profile: object, entry: Entry, *more: object) -> None:
        jobs.append(entry.bad_nodes)
        submissions.record(run, entry)

    running = JobFacts("RUNNING", restarts=0, reason="None", preempted=False, seconds_left=3600)
    monkeypatch.setattr(requeue, "submit_slurm", submit)
    monkeypatch.setattr(job_facts, "facts", lambda job_id, patience: running)
    monkeypatch.setattr(signal, "pthread_sigmask", lambda how, mask: None)  # this process is not the job's
    return jobs


@pytest.mark.parametrize("step", [0, 40])
@pytest.mark.parametrize(
    ("fault", "nodes", "kind", "words"),
    [
        (cpu_wheel, ["n1", "n2"], WrongInstallation, "installation: torch 2.13.0+cpu is a build for the CPU"),
        (old_driver, ["n1", "n2"], WrongInstallation, "installation: torch 2.13.0+cu130 is built for CUDA 13.0"),
        (no_kernel_image, ["n1"], WrongInstallation, "installation: torch 2.13.0+cu130 (CUDA 13.0): CUDA error"),
        (two_ranks_for_one_gpu, ["n1", "n1"], UserError, "launch.ranks_per_node=2: ranks 0, 1 on n1 have one GPU"),
        (fewer_gpus_than_ranks, ["n1"] * 4, UserError, "launch.ranks_per_node=4: each rank needs a GPU of its own"),
        (left_over, ["n1", "n2"], BadNode, "node n1, n2: only 13.5 of 80.0 GB of its GPU are free"),
    ],
)
def test_no_node_is_excluded_and_no_job_follows_where_the_fault_is_everywhere(
    node: Node,
    run: Path,
    chained: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[Node], None],
    nodes: list[str],
    kind: type[DualError],
    words: str,
    step: int,
) -> None:
    fault(node)
    monkeypatch.setattr(requeue, "newest_checkpoint", lambda run: step)
    found = end_of_job(run, monkeypatch, nodes, LaunchConfig(nodes=len(set(nodes))))
    assert isinstance(found, kind) and str(found).startswith(words)
    assert requeue.requeue_or_chain(run, "7", 0, str, failed=True).action == "leave"
    assert chained == [] and submissions.bad_nodes(submissions.read(run)) == (["n1", "n2"] if kind is BadNode else [])


def test_a_node_with_a_process_left_over_is_avoided_where_the_others_are_good(
    node: Node, run: Path, chained: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    good = judge(["n1", "n2"], [Report("only 1 of 80 GB of its GPU are free"), Report(gpu="GPU-0")], 60).error()
    assert isinstance(good, BadNode) and good.nodes == ["n1"]
    left_over(node)
    for already in range(requeue.SINGLE_NODES):  # jobs of one node: the first say little about the others
        assert isinstance(end_of_job(run, monkeypatch, [f"n{already}"], LaunchConfig()), BadNode)
        decision = requeue.requeue_or_chain(run, "7", 0, str, failed=True)
        (run / "logs" / "failures.jsonl").unlink()
        assert decision.action == ("chain" if already < requeue.SINGLE_NODES - 1 else "leave")
    assert chained == [["n0"], ["n0", "n1"]] and decision.cause == submissions.EVERY_NODE_BAD
