"""Which build of torch a GPU and its driver need."""

from __future__ import annotations

import pytest

from launch.cluster.torch_build import BUILDS, build_for, has_code, installation_fault
from requirements import pins


def test_each_build_is_a_word_of_make_setup() -> None:
    assert list(BUILDS) == list(pins.BUILDS)
    assert pins.read_pins(pins.TORCH.read_text())["cuda-toolkit"].version.startswith(BUILDS["cu130"].cuda)


@pytest.mark.parametrize(
    ("driver", "architecture", "word"),
    [
        ("580.65.06", "sm_90", "cu130"),
        ("580.65.06", "sm_70", "cu126"),  # V100
        ("535.104.05", "sm_90", "cu126"),
        ("560.28", "sm_80", "cu126"),
        ("535.104.05", "sm_100", None),  # Blackwell under an old driver
        ("470.57", "sm_80", None),
        (None, "sm_70", "cu126"),
        (None, "sm_75", "cu130"),
        ("590.1", None, "cu130"),
        (None, None, "cu130"),
    ],
)
def test_gpu_and_driver_name_the_build(driver: str | None, architecture: str | None, word: str | None) -> None:
    assert build_for(driver, architecture) == word


@pytest.mark.parametrize(
    ("built", "gpu", "runs"),
    [
        (["sm_80"], "sm_80", True),
        (["sm_80"], "sm_89", True),  # of the same generation, later
        (["sm_86"], "sm_80", False),
        (["sm_75", "sm_80"], "sm_70", False),
        (["sm_90"], "sm_100", False),
        (["sm_90", "compute_90"], "sm_100", True),  # PTX, which the driver compiles
        (["compute_90"], "sm_80", False),
        (["sm_100", "sm_120"], "sm_103", True),
        ([], "sm_80", False),
    ],
)
def test_code_runs_on_its_generation_and_ptx_on_later_ones(built: list[str], gpu: str, runs: bool) -> None:
    assert has_code(built, gpu) == runs


@pytest.mark.parametrize("word", ["cu130", "cu126"])
def test_every_gpu_that_a_build_is_for_is_no_fault_under_its_driver(word: str) -> None:
    build = BUILDS[word]
    for architecture in build.architectures:
        driver = f"{build.driver}.1"
        assert installation_fault("2.13.0", build.cuda, build.architectures, "GPU", architecture, driver) is None
        older = installation_fault(
            "2.13.0", build.cuda, build.architectures, "GPU", architecture, f"{build.driver - 1}.9"
        )
        assert older is not None and f"needs NVIDIA driver {build.driver} or later" in older


def test_where_nothing_is_known_of_the_gpu_only_a_build_without_cuda_is_a_fault() -> None:
    assert installation_fault("2.13.0+cu130", "13.0", []) is None
    assert "build for the CPU" in str(installation_fault("2.13.0+cpu", None, []))
    assert "needs a newer driver" in str(installation_fault("2.13.0", "13.0", ["sm_80"], "A100", "sm_80", "470.1"))
