"""The builds of torch that `make setup TORCH=...` installs, and which of them a GPU and its driver need. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Build:
    """One build of torch's wheels.

    Attributes:
        cuda: as `torch.version.cuda`; "" of the build for the CPU.
        driver: the oldest major version of NVIDIA's driver on Linux that runs it.
        architectures: as `torch.cuda.get_arch_list()`.
    """

    cuda: str
    driver: int
    architectures: tuple[str, ...]


# Those with CUDA in the order of preference. CUDA 12 runs on any driver since 525 (its minor versions are compatible).
BUILDS = {
    "cu130": Build("13.0", 580, ("sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120")),
    "cu126": Build("12.6", 525, ("sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90")),
    "cpu": Build("", 0, ()),
}


def build_for(driver: str | None, architecture: str | None) -> str | None:
    """The build that a GPU of this architecture ("sm_70") needs under this driver ("535.104"); None where none fits.

    What is not known (None) is no obstacle.
    """
    for word, build in BUILDS.items():
        new_enough = driver is None or major(driver) >= build.driver
        if build.cuda and new_enough and (architecture is None or has_code(build.architectures, architecture)):
            return word
    return None


def has_code(architectures: Collection[str], architecture: str) -> bool:
    """Whether a build for these architectures runs on this one: code of the same generation up to its own minor
    version, or PTX (`compute_80`) of an earlier one, which the driver compiles.
    """
    own = _number(architecture)
    for one in architectures:
        kind, _, _ = one.partition("_")
        number = _number(one)
        if kind == "compute" and number <= own:
            return True
        if kind == "sm" and number // 10 == own // 10 and number <= own:
            return True
    return False


def installation_fault(
    version: str,
    cuda: str | None,
    architectures: Collection[str],
    gpu: str = "",
    architecture: str | None = None,
    driver: str | None = None,
) -> str | None:
    """Why this torch cannot compute on this GPU, and what to install instead; None where it should be able to.

    Args:
        version, cuda, architectures: of torch.
        gpu: its name; "" where it is not known.
        architecture, driver: of the GPU, as "sm_70" and "535.104"; None where not known.
    """
    here = ", ".join(filter(None, [gpu, architecture, f"driver {driver}" if driver else ""])) or "not known"
    if not cuda:
        return (
            f"torch {version} is a build for the CPU, and this node has GPUs ({here}); {_remedy(driver, architecture)}"
        )
    needed = next((build.driver for build in BUILDS.values() if major(build.cuda) == major(cuda)), 0)
    if driver is not None and major(driver) < needed:
        return (
            f"torch {version} is built for CUDA {cuda}, which needs NVIDIA driver {needed} or later, and this node "
            f"has an older one ({here}); {_remedy(driver, architecture)}"
        )
    if architecture is not None and architectures and not has_code(architectures, architecture):
        return (
            f"torch {version} (CUDA {cuda}) holds code for {', '.join(architectures)} and none for the GPU ({here}); "
            f"{_remedy(driver, architecture)}"
        )
    return None


def major(version: str) -> int:
    """535 of "535.104.05"; 0 where it is no version."""
    found = re.match(r"\d+", version)
    return int(found[0]) if found else 0


def _number(architecture: str) -> int:
    """90 of "sm_90" and "sm_90a"."""
    found = re.search(r"\d+", architecture)
    return int(found[0]) if found else 0


def _remedy(driver: str | None, architecture: str | None) -> str:
    word = build_for(driver, architecture)
    if word is None:
        return "none of the builds that are known here fits: the node needs a newer driver"
    return f"reinstall it with `make setup TORCH={word}`"
