"""The files of pins: what each is for, and what stands in them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent
CONSTRAINTS = ROOT / "constraints.txt"  # name==version of everything that was tested; the files below are made from it
BUILD = FOLDER / "build.txt"  # what installs the others
LOCK = FOLDER / "lock.txt"  # all of constraints.txt but those and torch
TORCH = FOLDER / "torch.txt"  # torch as the registry has it, with the libraries of CUDA that it needs
TOOLS = FOLDER / "tools.txt"  # what makes these files and audits them; in an environment of its own
BUILD_NAMES = ("pip", "setuptools", "wheel")
# Builds of torch: the word of `make setup TORCH=...`, and the label of its version ("": the registry's, for CUDA 13).
BUILDS = {"cu130": "", "cu126": "cu126", "cpu": "cpu"}

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})\b")


@dataclass
class Pin:
    """One line of a requirements file.

    Attributes:
        text: the requirement, environment marker included.
        hashes: sha256 of the files that may be installed.
    """

    name: str
    version: str
    text: str
    hashes: list[str] = field(default_factory=list)


def normalized(name: str) -> str:
    """The name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_pins(text: str) -> dict[str, Pin]:
    """The pins of a requirements file by normalized name.

    Raises:
        ValueError: a line is no pin.
    """
    pins: dict[str, Pin] = {}
    for line in text.replace("\\\n", " ").splitlines():
        line = line.split("#")[0].strip()
        if not line:
            continue
        if (found := _PIN.match(line)) is None:
            raise ValueError(f"not a pin: {line[:80]!r}")
        requirement = line.split(" --hash")[0].strip()
        pins[normalized(found[1])] = Pin(found[1], found[2], requirement, _HASH.findall(line))
    return pins


def render(pins: Iterable[Pin], about: str) -> str:
    """A requirements file with hashes: `pip install --no-deps --require-hashes -r FILE`."""
    lines = [f"# {about}"]
    for pin in sorted(pins, key=lambda pin: normalized(pin.name)):
        lines += [" \\\n".join([pin.text, *(f"    --hash=sha256:{one}" for one in sorted(set(pin.hashes)))])]
    return "\n".join(lines) + "\n"


def torch_file(version: str) -> Path:
    """The pins of a build of torch: "2.13.0" is the registry's, "2.13.0+cpu" comes from another index."""
    _, _, label = version.partition("+")
    return FOLDER / f"torch-{label}.txt" if label else TORCH
