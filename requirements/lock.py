"""`make lock`: from the versions in constraints.txt to files of pins with the hashes that the registry has.

All files of a version are listed, for any Python and machine. `torch-cpu.txt` is not made here: such builds lie on
another index, and its hashes are those of files that were tested (`pip hash FILE`).
"""

from __future__ import annotations

import subprocess
import sys

from requirements.pins import BUILD, BUILD_NAMES, CONSTRAINTS, LOCK, TOOLS, TORCH, Pin, normalized, read_pins, render
from requirements.versions import advertised

MADE = "Made by `make lock` from constraints.txt; do not edit."
_TOOLS = "uv\npip-audit\n"


def main() -> int:
    """Write the files; the exit code."""
    pins = read_pins(CONSTRAINTS.read_text(encoding="utf-8"))
    python = f"{advertised()[0]}.0"  # its first release: what asks for a later one cannot be installed everywhere
    alone = compiled("".join(f"{pin.text}\n" for pin in pins.values()), "--no-deps", "--python-version", python)
    torch = compiled(f"torch=={pins['torch'].version}\n", "--universal", "--constraints", str(CONSTRAINTS))
    tools = compiled(_TOOLS, "--universal", "--python-version", python)

    build = [alone.pop(name) for name in BUILD_NAMES]
    cuda = [torch["torch"], *(pin for name, pin in torch.items() if name not in pins)]
    del alone["torch"]
    for file, content in ((BUILD, build), (LOCK, list(alone.values())), (TORCH, cuda), (TOOLS, list(tools.values()))):
        file.write_text(render(content, MADE), encoding="utf-8")
        print(f"{file.name}: {len(content)} packages, {sum(len(pin.hashes) for pin in content)} hashes")
    return 0


def compiled(requirements: str, *options: str) -> dict[str, Pin]:
    """What uv makes of requirements: pins with the hashes of all files of their versions, by normalized name."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "-", "--quiet", "--generate-hashes"]
    command += ["--no-header", "--no-annotate", "--no-strip-markers", *options]
    done = subprocess.run(command, input=requirements, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(done.returncode)
    pins = read_pins(done.stdout)
    if lacking := [pin.text for pin in pins.values() if not pin.hashes]:
        sys.exit(f"no hashes of {', '.join(lacking)}")
    return {normalized(name): pin for name, pin in pins.items()}


if __name__ == "__main__":
    sys.exit(main())
