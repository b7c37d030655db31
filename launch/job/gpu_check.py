"""Whether this rank's GPU computes: what is wrong is the node's, or the installation's."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING

from dual_hpc.errors import UserError, one_line
from dual_hpc.training.device import rank_device
from launch.cluster.gpu_facts import gpu_facts, processes_on_gpus
from launch.cluster.torch_build import installation_fault
from launch.job.node_faults import WrongInstallation

if TYPE_CHECKING:
    import torch

FREE_SHARE = 0.8  # of a GPU's memory, at least: our own context and the site's monitoring need far less than the rest
LEFT_OVER_SECONDS = 20.0  # that the processes of the job before have to end
SIZE = 256  # rows and columns of the product that is checked

# What torch and CUDA say where this build of torch, or this driver, fits no GPU of this kind.
_WRONG_BUILD = re.compile(
    r"no kernel image|not compiled with CUDA|driver .*(too old|is insufficient)|forward compatibility", re.IGNORECASE
)


def wrong_installation() -> str | None:
    """Why the torch that is installed cannot compute on this node's GPUs; None where it should be able to."""
    import torch

    facts = gpu_facts()
    name, architecture = facts.name, facts.architecture
    architectures: list[str] = []
    if torch.cuda.is_available():
        device = rank_device()
        name, architectures = torch.cuda.get_device_name(device), torch.cuda.get_arch_list()
        architecture = "sm_{}{}".format(*torch.cuda.get_device_capability(device))
    cuda = torch.version.cuda
    return installation_fault(torch.__version__, cuda, architectures, name, architecture, facts.driver)


def gpu_problem() -> str | None:
    """What is wrong with the GPU of this rank on this node: absent, taken, or wrong results; None if nothing.

    Raises:
        WrongInstallation: torch or the driver does not fit.
        UserError: the node has fewer GPUs than ranks.
    """
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if (fault := wrong_installation() or _hidden(visible)) is not None:
        raise WrongInstallation(fault)
    try:
        if not torch.cuda.is_available():
            torch.cuda.init()  # says why
            return f"no GPU is visible (CUDA_VISIBLE_DEVICES={visible})"
        device = rank_device()
        if (taken := _memory_taken(device)) is not None:
            return taken
        product = float((torch.ones(SIZE, SIZE, device=device) @ torch.ones(SIZE, SIZE, device=device)).sum())
    except UserError:
        raise
    except (RuntimeError, AssertionError) as error:
        reason = one_line(error, 200)
        if _WRONG_BUILD.search(reason):
            raise WrongInstallation(f"torch {torch.__version__} (CUDA {torch.version.cuda}): {reason}") from error
        return f"its GPU fails: {reason}"
    return None if product == SIZE**3 else f"its GPU gives wrong results: {product:g} instead of {SIZE**3}"


def gpu_identity() -> str:
    """The unique id of this rank's GPU, by which two ranks that were given the same one are found; "" on a CPU."""
    import torch

    device = rank_device()
    return str(torch.cuda.get_device_properties(device).uuid) if device.type == "cuda" else ""


def describe_device() -> str:
    """The device of this rank in a sentence, for its log."""
    import torch

    device, build = rank_device(), f"torch {torch.__version__}"
    if device.type == "cuda":
        names = f"{torch.cuda.get_device_name(device)} ({gpu_identity()})"
        return f"this rank computes on GPU {device.index} of the {torch.cuda.device_count()} it sees, {names}; {build}"
    if (count := gpu_facts().count) and os.environ.get("CUDA_VISIBLE_DEVICES") is None:
        return f"this rank computes on the CPU, though this machine has {count} GPU(s): {wrong_installation() or build}"
    return f"this rank computes on the CPU; {build}"


def _hidden(visible: str | None) -> str | None:
    """What is wrong where the job hides this node's GPUs from its ranks; None where it does not."""
    if visible is None or visible not in ("", "-1", "NoDevFiles") or gpu_facts().count == 0:
        return None
    return (
        f"this node has GPUs, and the job shows its ranks none (CUDA_VISIBLE_DEVICES={visible!r}): see `gpu_request` "
        "and `environment` of the profile"
    )


def _memory_taken(device: torch.device) -> str | None:
    """Who holds the memory of a GPU that should be free; None where it is free within `LEFT_OVER_SECONDS`."""
    import torch

    deadline = time.monotonic() + LEFT_OVER_SECONDS
    while True:
        free, total = torch.cuda.mem_get_info(device)
        if free >= FREE_SHARE * total:
            return None
        if time.monotonic() >= deadline:
            break
        time.sleep(1)
    holders = ", ".join(processes_on_gpus()) or "a process that nvidia-smi does not show"
    return f"only {free / 2**30:.1f} of {total / 2**30:.1f} GB of its GPU are free: {holders} is left over on it"
