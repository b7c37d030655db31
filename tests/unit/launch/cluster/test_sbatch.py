"""The sbatch text against golden files: read their differences before accepting them.

DUAL_WRITE_GOLDEN=1 writes them again.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.config.schema import LaunchConfig
from launch.cluster.profiles import load_profile, profile_names
from launch.cluster.request import check
from launch.cluster.sbatch import TRAP, sbatch_parameters, sbatch_text, setup_lines

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "sbatch"
REQUESTS = {
    "dev": LaunchConfig(nodes=2, ranks_per_node=1, hours=1),
    "template": LaunchConfig(nodes=2, ranks_per_node=4, hours=12),
    "jean-zay-prepost": LaunchConfig(cpus_per_rank=12, hours=10),
    "jean-zay-v100": LaunchConfig(nodes=2, ranks_per_node=4, hours=20, account="abc@v100"),
    "jean-zay-a100": LaunchConfig(ranks_per_node=8, hours=2, qos="qos_gpu_a100-dev", account="abc@a100"),
    "jean-zay-h100": LaunchConfig(nodes=16, ranks_per_node=4, hours=100, qos="qos_gpu_h100-t4", account="abc@h100"),
}
# Besides one run: a sweep of 25 members, and what `submit --tasks 4 -- pack` and `submit -- evaluate` hand over.
FORMS: dict[str, dict[str, Any]] = {
    "run": {},
    "sweep": {"members": 25, "parallel": 5},
    "tasks": {"members": 4, "parallel": 4, "continues": False},
    "command": {"continues": False},
}
GOLDEN_ONES = [(name, "run") for name in sorted(REQUESTS)] + [
    ("jean-zay-h100", "sweep"),
    ("jean-zay-prepost", "tasks"),
    ("dev", "command"),
]


def text(name: str, form: str = "run") -> str:
    profile, request = load_profile(name), REQUESTS[name]
    check(request, profile)
    return sbatch_text(profile, request, Path("/store/runs/trial"), "python", **FORMS[form])


def test_every_cluster_has_a_golden_file() -> None:
    assert {name for name in profile_names() if load_profile(name).executor == "slurm"} == REQUESTS.keys()


@pytest.mark.parametrize(("name", "form"), GOLDEN_ONES)
def test_the_sbatch_text_is_the_golden_one(name: str, form: str) -> None:
    path = GOLDEN / (f"{name}.sbatch" if form == "run" else f"{name}.{form}.sbatch")
    found = text(name, form)
    if os.environ.get("DUAL_WRITE_GOLDEN") == "1":
        path.write_text(found)
    assert found == path.read_text()


@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_no_job_carries_a_wckey_and_every_srun_knows_its_cores(name: str) -> None:
    lines = text(name).splitlines()
    assert not any("wckey" in line for line in lines)
    command = next(line for line in lines if line.startswith("srun"))
    cores = next(line.split("=")[1] for line in lines if "--cpus-per-task" in line)
    assert f"--cpus-per-task={cores}" in command and "--kill-on-bad-exit=1" in command


def test_what_a_request_wishes_reaches_sbatch_and_the_profile_gives_way() -> None:
    asked: dict[str, Any] = {
        "memory": "64G",
        "gpu_type": "h100",
        "nodelist": "n[1-4]",
        "exclude": "n2",
        "reservation": "course",
    }
    asked |= {"begin": "now+2hours", "mail": "me@lab.org", "extra": {"exclusive": True, "comment": "paper"}}
    request = LaunchConfig(account="abc@h100", ranks_per_node=4, after=["7", "8_1"], **asked)
    profile = load_profile("jean-zay-h100").model_copy(
        update={"memory_per_cpu_mb": 4000, "extra": {"comment": "x", "mem-per-cpu": "4G"}}
    )
    check(request, profile)
    lines = set(sbatch_text(profile, request, Path("/store/runs/trial"), "python").splitlines())
    wanted = ["mem=64G", "gpus-per-node=h100:4", "nodelist='n[1-4]'", "exclude=n2", "reservation=course", "exclusive"]
    wanted += ["begin=now+2hours", "mail-user=me@lab.org", "comment=paper", "dependency=afterany:7:8_1"]
    assert {f"#SBATCH --{option}" for option in wanted} <= lines
    assert not [line for line in lines if "mem-per-cpu" in line or "comment=x" in line]
    later = sbatch_parameters(profile, request, Path("/r"), "python", ["9"], ["n3", "n4"])
    assert later["dependency"] == "afterany:9" and later["exclude"] == "n2,n3,n4"


def test_a_module_that_cannot_be_loaded_ends_the_job_before_its_ranks(tmp_path: Path) -> None:
    lines = setup_lines(load_profile("dev").model_copy(update={"modules": ["python/4", "cuda"]}))
    script = "\n".join(["module() { [ $1 = purge ] || [ $2 = cuda ]; }", TRAP, *lines, "echo begun"])
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and not done.stdout
    assert done.stderr == "dual-hpc: module load python/4 failed; correct `modules` of the profile\n"
    script = script.replace("$2 = cuda", "$1 = load")
    assert subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout == "begun\n"


def test_the_batch_script_outlives_a_signal_that_is_meant_for_its_ranks() -> None:
    script = f"{TRAP}\nsleep 0.2 & child=$!; kill -USR2 $$; wait $child; wait $child; echo begun"
    assert subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout == "begun\n"
