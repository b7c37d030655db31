"""What `make setup` runs inside a new virtual environment: everything that was tested, proven by its hashes.

    python -m requirements.install                 # this checkout, so that edits count
    python -m requirements.install --source DIR    # a copy of it, as `pip install DIR` would
    python -m requirements.install --no-hashes     # the same versions from wherever pip is configured to look

The standard library is all that is needed. Which build of torch it becomes is pip's decision, as it is configured on
this machine: the registry's, with CUDA, or another index's, of which `torch-LABEL.txt` holds the hashes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from requirements.pins import BUILD, BUILD_NAMES, CONSTRAINTS, LOCK, ROOT, read_pins, torch_file

EXTRAS = "dev,docs,kernels,faces"


def main(argv: list[str] | None = None) -> int:
    """The exit code; pip's where it fails."""
    parser = argparse.ArgumentParser(prog="python -m requirements.install", description=__doc__)
    parser.add_argument("--no-hashes", action="store_true")
    parser.add_argument("--source", type=Path, metavar="DIR", help="install this folder instead, not editable")
    args = parser.parse_args(argv)
    own = [str(args.source)] if args.source else ["--editable", str(ROOT)]
    if args.no_hashes:
        pip("install", "--upgrade", "--constraint", str(CONSTRAINTS), *BUILD_NAMES)
        pip("install", "--constraint", str(CONSTRAINTS), *own[:-1], f"{own[-1]}[{EXTRAS}]")
        return 0
    torch = torch_file(torch_version())
    if not torch.is_file():
        print(f"{torch.name}: there are no hashes of this build of torch; make setup HASHES=no", file=sys.stderr)
        return 1
    for file in (BUILD, LOCK, torch):
        pip("install", "--no-deps", "--no-build-isolation", "--require-hashes", "--requirement", str(file))
    pip("install", "--no-deps", "--no-build-isolation", *own)
    return 0


def torch_version() -> str:
    """The version, label included, of the build of torch that pip takes on this machine."""
    wanted = f"torch=={read_pins(CONSTRAINTS.read_text(encoding='utf-8'))['torch'].version}"
    report = pip("install", "--dry-run", "--ignore-installed", "--no-deps", "--report", "-", wanted)
    return str(json.loads(report)["install"][0]["metadata"]["version"])


def pip(*words: str) -> str:
    """Run this environment's pip; its standard output. It ends the program where pip fails."""
    command = [sys.executable, "-m", "pip", words[0], "--quiet", "--disable-pip-version-check", *words[1:]]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        print(done.stdout, end="", file=sys.stderr)
        sys.exit(done.returncode)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
