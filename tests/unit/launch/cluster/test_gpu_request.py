"""Clusters are asked for GPUs in different forms; what is checked stays the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dual_hpc.config.schema import LaunchConfig
from dual_hpc.errors import UserError
from launch.cluster.profiles import Profile
from launch.cluster.request import check, cost_estimate
from launch.cluster.sbatch import sbatch_text

REQUEST = LaunchConfig(nodes=2, ranks_per_node=4, hours=1)
CLUSTER = {"name": "site", "gpus_per_node": 4, "cpus_per_node": 32, "cpus_per_gpu": 8}


def gpu_lines(profile: Profile, request: LaunchConfig = REQUEST) -> list[str]:
    check(request, profile)
    text = sbatch_text(profile, request, Path("/store/runs/a"), "python")
    return [line.removeprefix("#SBATCH ") for line in text.splitlines() if "gpu" in line or "gres" in line]


@pytest.mark.parametrize(
    ("form", "line", "typed"),
    [
        ("gpus-per-node", "--gpus-per-node=4", "--gpus-per-node=a100:4"),
        ("gres", "--gres=gpu:4", "--gres=gpu:a100:4"),
        ("gpus", "--gpus=8", "--gpus=a100:8"),
        ("gpus-per-task", "--gpus-per-task=1", "--gpus-per-task=a100:1"),
    ],
)
def test_each_form_asks_for_one_gpu_per_rank(form: Any, line: str, typed: str) -> None:
    profile = Profile(**CLUSTER, gpu_request=form)
    assert gpu_lines(profile) == [line]
    assert gpu_lines(profile, REQUEST.model_copy(update={"gpu_type": "a100"})) == [typed]


def test_whole_nodes_are_not_asked_for_gpus_and_have_them_all_the_same() -> None:
    profile = Profile(**CLUSTER, gpu_request="none")
    assert gpu_lines(profile) == [] and profile.has_gpus
    assert "8 GPU-hours" in cost_estimate(REQUEST, profile)
    with pytest.raises(UserError, match=r"launch.ranks_per_node=5: a node of site has 4 GPUs"):
        check(REQUEST.model_copy(update={"ranks_per_node": 5}), profile)
    with pytest.raises(UserError, match=r"launch.gpu_type=a100: site gives whole nodes"):
        check(REQUEST.model_copy(update={"gpu_type": "a100"}), profile)


def test_other_generic_resources_stand_beside_the_gpus() -> None:
    profile = Profile(**CLUSTER, gpu_request="gres", extra={"gres": "lscratch:100"})
    assert gpu_lines(profile, REQUEST.model_copy(update={"extra": {"gres": "nvme:1"}})) == [
        "--gres=gpu:4,lscratch:100,nvme:1"
    ]
    assert gpu_lines(Profile(**CLUSTER, extra={"gres": "lscratch:100"})) == ["--gpus-per-node=4", "--gres=lscratch:100"]


@pytest.mark.parametrize("extra", [{"gpus": 8}, {"gpus-per-task": 1}, {"gres": "gpu:4"}, {"gres": "gpu:a100:4"}])
def test_gpus_are_asked_for_in_one_place(extra: dict[str, Any]) -> None:
    (option,) = extra
    with pytest.raises(UserError, match=f"launch.extra: {option} is written by the profile, .*gpu_request"):
        check(REQUEST.model_copy(update={"extra": extra}), Profile(**CLUSTER))
    with pytest.raises(UserError, match=f"extra of the profile site: {option} is written by .*gpu_request"):
        check(REQUEST, Profile(**CLUSTER, extra=extra))
    check(LaunchConfig(extra=extra), Profile(name="cpus", cpus_per_node=32))  # without GPUs of its own nothing clashes
