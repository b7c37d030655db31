"""What `make setup` runs inside a new virtual environment: everything that was tested, proven by its hashes.

    python -m requirements.install                 # this checkout, so that edits count
    python -m requirements.install --torch cu126   # this build of torch (`dual-hpc doctor` says which a GPU needs)
    python -m requirements.install --source DIR    # a copy of it, as `pip install DIR` would
    python -m requirements.install --no-hashes     # the same versions from wherever pip is configured to look

The standard library is all that is needed. Without `--torch`, which build of torch it becomes is pip's decision, as it
is configured on this machine: the registry's, for CUDA 13, or another index's. `torch-LABEL.txt` holds the hashes of
those that were tested; of a build without such a file, torch alone is taken unproven, and that is said.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from requirements.pins import BUILD, BUILD_NAMES, BUILDS, CONSTRAINTS, LOCK, ROOT, TORCH, read_pins, torch_file

EXTRAS = "dev,docs,kernels,faces,h5"


def main(argv: list[str] | None = None) -> int:
    """The exit code; pip's where it fails."""
    parser = argparse.ArgumentParser(prog="python -m requirements.install", description=__doc__)
    parser.add_argument("--no-hashes", action="store_true")
    parser.add_argument("--torch", choices=BUILDS, help="for CUDA 13, for CUDA 12.6 (V100, older drivers), for the CPU")
    parser.add_argument("--source", type=Path, metavar="DIR", help="install this folder instead, not editable")
    args = parser.parse_args(argv)
    own = [str(args.source)] if args.source else ["--editable", str(ROOT)]
    if args.no_hashes:
        named = [exact_requirement(args.torch)] if args.torch else []
        pip("install", "--upgrade", "--constraint", str(CONSTRAINTS), *BUILD_NAMES)
        pip("install", "--constraint", str(CONSTRAINTS), *named, *own[:-1], f"{own[-1]}[{EXTRAS}]", torch=args.torch)
        return 0
    file = torch_file(version_of(args.torch) if args.torch else torch_version())
    if not args.torch and not file.is_file():
        print(f"{file.name}: there are no hashes of this build of torch; make setup HASHES=no", file=sys.stderr)
        return 1
    for proven in (BUILD, LOCK):
        install_proven(proven)
    if file.is_file():
        install_torch(file, args.torch)
    else:
        print(f"{file.name} is not there: torch is installed without proof by its hash", file=sys.stderr)
        pip("install", "--constraint", str(CONSTRAINTS), exact_requirement(args.torch), torch=args.torch)
    pip("install", "--no-deps", "--no-build-isolation", *own)
    return 0


def install_proven(file: Path, torch: str | None = None) -> None:
    """Install what a file of pins names, from files with these hashes."""
    words = ("--no-deps", "--no-build-isolation", "--require-hashes", "--requirement", str(file))
    pip("install", *words, torch=torch)


def install_torch(file: Path, word: str | None) -> None:
    """Install a build of torch with what it needs.

    2.13.0+cpu meets `torch==2.13.0` as well, and pip prefers it where it finds it: with a word, `===` is asked for.
    """
    if word is None or file != TORCH:
        install_proven(file, word)
        return
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as exact:
        exact.write(file.read_text(encoding="utf-8").replace("\ntorch==", "\ntorch==="))
        exact.flush()
        install_proven(Path(exact.name), word)


def version_of(word: str) -> str:
    """The version, label included, of the build of torch that a word names."""
    release = read_pins(CONSTRAINTS.read_text(encoding="utf-8"))["torch"].version
    return f"{release}+{BUILDS[word]}" if BUILDS[word] else release


def exact_requirement(word: str) -> str:
    """What pip is asked for, where no other build will do."""
    return f"torch==={version_of(word)}"


def torch_version() -> str:
    """The version, label included, of the build of torch that pip takes on this machine."""
    wanted = f"torch=={read_pins(CONSTRAINTS.read_text(encoding='utf-8'))['torch'].version}"
    report = pip("install", "--dry-run", "--ignore-installed", "--no-deps", "--report", "-", wanted)
    return str(json.loads(report)["install"][0]["metadata"]["version"])


def pip(*words: str, torch: str | None = None) -> str:
    """Run this environment's pip; its standard output. It ends the program where pip fails.

    Args:
        torch: the build that it is to install; one with a label lies on another index, which is said if pip fails.
    """
    command = [sys.executable, "-m", "pip", words[0], "--quiet", "--disable-pip-version-check", *words[1:]]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        print(done.stdout, end="", file=sys.stderr)
        if torch is not None and BUILDS[torch]:
            print(
                f"torch {version_of(torch)} lies on PyTorch's own index: name that index in PIP_EXTRA_INDEX_URL (its "
                f"address for {torch} stands on pytorch.org, under Get Started), or the folder of its wheel in "
                "PIP_FIND_LINKS",
                file=sys.stderr,
            )
        sys.exit(done.returncode)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
