"""What the driver says about this machine's GPUs, without torch: a wrong build of torch must not hide them."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

DEVICES = Path("/dev")
DRIVER = Path("/proc/driver/nvidia/version")
PATIENCE = 20.0  # seconds: nvidia-smi hangs on a node whose GPU has fallen off the bus


@dataclass(frozen=True)
class GpuFacts:
    """Of the first GPU, as all GPUs of a node are alike.

    Attributes:
        count: GPUs of this machine, whichever of them this process may use.
        architecture: as "sm_90"; None where it is not known, as is `driver`.
    """

    count: int = 0
    name: str = ""
    architecture: str | None = None
    driver: str | None = None


def gpu_facts() -> GpuFacts:
    """Ask nvidia-smi; where it says nothing, the kernel's module and the device files. Never raises."""
    rows = _ask("--query-gpu=name,compute_cap,driver_version")
    if rows:
        name, capability, driver = rows[0]
        architecture = f"sm_{capability.replace('.', '')}" if re.fullmatch(r"\d+\.\d", capability) else None
        return GpuFacts(len(rows), name, architecture, driver)
    count = sum(1 for path in DEVICES.glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name))
    try:
        found = re.search(r"Kernel Module.*?\s(\d+\.[\d.]+)", DRIVER.read_text())
    except OSError:
        found = None
    return GpuFacts(count, driver=found[1] if found else None)


def processes_on_gpus() -> list[str]:
    """ "process 4711 (python, 66000 MiB)" for each that computes on a GPU of this machine, where nvidia-smi says so."""
    rows = _ask("--query-compute-apps=pid,process_name,used_memory")
    return [f"process {pid} ({Path(name).name}, {memory} MiB)" for pid, name, memory in rows]


def _ask(query: str) -> list[list[str]]:
    """The rows of one query, each with three words."""
    command = ["nvidia-smi", query, "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return []
    rows = [[word.strip() for word in line.split(",")] for line in done.stdout.splitlines() if done.returncode == 0]
    return [row for row in rows if len(row) == 3]
