"""Wrong requests are refused before anything is submitted, in one line that names the setting."""

from __future__ import annotations

import pytest

from dual_hpc.config.schema import LaunchConfig
from dual_hpc.errors import UserError
from launch.cluster.profiles import load_profile
from launch.cluster.request import check, check_array, cost_estimate

H100 = {"account": "abc@h100", "ranks_per_node": 4}


@pytest.mark.parametrize(
    ("profile", "request_", "said"),
    [
        ("local", {"nodes": 2}, "launch.nodes"),
        ("local", {"after": ["trial"]}, "launch.after: local has no queue"),
        ("local", {"notify": "gone-1 x"}, "launch.notify='gone-1 x': there is no program 'gone-1'"),
        ("dev", {"notify": "echo 'a"}, "launch.notify=.*No closing quotation"),
        ("dev", {"notify": "  "}, "launch.notify=' '"),
        ("dev", {"nodelist": "n1; rm"}, "launch.nodelist='n1; rm' .* write it as n1,n"),
        ("dev", {"exclude": "n1\n#SBATCH --uid=0"}, "launch.exclude="),
        ("dev", {"memory": "64 GB"}, "launch.memory='64 GB' .* write it as 64G, of one node"),
        ("dev", {"memory": "0"}, "launch.memory='0'"),
        ("dev", {"reservation": "a b"}, "launch.reservation"),
        ("dev", {"begin": "tomorrow evening"}, "launch.begin='tomorrow evening' .* now.2hours"),
        ("dev", {"mail": "me"}, "launch.mail='me' .* me@lab.org"),
        ("dev", {"gpu_type": "a100"}, "launch.gpu_type=a100: dev has no GPUs"),
        ("jean-zay-h100", {**H100, "gpu_type": "a 100"}, "launch.gpu_type"),
        ("dev", {"extra": {"--exclusive": True}}, "'--exclusive' is not a long option of sbatch"),
        ("dev", {"extra": {"time": "1:00"}}, "launch.extra: time is set by launch.hours"),
        ("dev", {"extra": {"output": "x"}}, "launch.extra: output is set by launch.. or the profile"),
        ("dev", {"extra": {"comment": "a\n#SBATCH -A b"}}, "launch.extra: comment holds"),
        ("dev", {"nodes": 5}, "launch.nodes"),
        ("dev", {"ranks_per_node": 5}, "cores"),
        ("dev", {"ranks_per_node": 2, "cpus_per_rank": 3}, "launch.cpus_per_rank"),
        ("dev", {"partition": "gpu"}, "launch.partition=gpu: dev offers main"),
        ("dev", {"hours": 0.01}, "launch.hours"),
        ("jean-zay-h100", {"ranks_per_node": 4}, "launch.account"),
        ("jean-zay-h100", {**H100, "account": "abc@a100"}, "must end|ends in @h100"),
        ("jean-zay-h100", {**H100, "account": "abc"}, "write abc@h100"),
        ("jean-zay-h100", {**H100, "hours": 21}, "launch.hours=21.*qos_gpu_h100-t4"),
        ("jean-zay-h100", {**H100, "hours": 101}, "launch.hours=101"),
        ("jean-zay-h100", {**H100, "qos": "qos_gpu-t3"}, "launch.qos=qos_gpu-t3"),
        ("jean-zay-h100", {**H100, "qos": "qos_gpu_h100-dev", "hours": 3}, "launch.hours=3"),
        ("jean-zay-h100", {**H100, "qos": "qos_gpu_h100-dev", "hours": 1, "nodes": 9}, "36"),
        ("jean-zay-h100", {**H100, "ranks_per_node": 5}, "launch.ranks_per_node=5"),
        ("jean-zay-h100", {**H100, "cpus_per_rank": 25, "ranks_per_node": 1}, "launch.cpus_per_rank=25"),
        ("jean-zay-h100", {**H100, "constraint": "a100"}, "launch.constraint=a100"),
        ("jean-zay-v100", {"account": "abc@h100"}, "launch.account"),
        ("jean-zay-a100", {"account": "abc@a100", "nodes": 17, "ranks_per_node": 8}, "136"),
    ],
)
def test_a_wrong_request_is_refused(profile: str, request_: dict, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        check(LaunchConfig(**request_), load_profile(profile))
    assert "\n" not in str(caught.value)


def test_more_jobs_than_a_user_may_have_are_refused_with_the_qos_that_takes_them() -> None:
    profile, dev = load_profile("jean-zay-h100"), LaunchConfig(**H100, qos="qos_gpu_h100-dev", hours=2)
    check_array(10, dev, profile)
    with pytest.raises(UserError, match=r"11 jobs: qos_gpu_h100-dev allows 10 .* launch.qos=qos_gpu_h100-t3"):
        check_array(11, dev, profile)
    check_array(11, LaunchConfig(**H100), profile)


@pytest.mark.parametrize(
    ("profile", "request_"),
    [
        ("local", {"ranks_per_node": 64}),
        ("dev", {"nodes": 4, "ranks_per_node": 4, "partition": "low"}),
        ("jean-zay-h100", {**H100, "nodes": 16, "hours": 20}),
        ("jean-zay-h100", {**H100, "nodes": 16, "hours": 100, "qos": "qos_gpu_h100-t4"}),
        ("template", {"nodes": 16, "ranks_per_node": 4, "hours": 24}),
    ],
)
def test_a_right_request_passes(profile: str, request_: dict) -> None:
    check(LaunchConfig(**request_), load_profile(profile))


def test_the_price_is_told_with_all_continuations() -> None:
    request = LaunchConfig(**H100, nodes=2, hours=20)
    h100 = load_profile("jean-zay-h100")
    assert cost_estimate(request, h100) == "at most 160 GPU-hours"
    assert cost_estimate(request, h100, 3, 10) == "at most 480 GPU-hours; with all 10 continuations 5280"
    dev = LaunchConfig(nodes=2, cpus_per_rank=2, hours=1)
    assert cost_estimate(dev, load_profile("dev")) == "at most 4 core-hours, no GPU"
    assert cost_estimate(dev, load_profile("dev"), 1, 2).endswith("; with all 2 continuations 12")
