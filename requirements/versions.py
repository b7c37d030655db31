"""`make versions`: every Python that pyproject.toml advertises, tried: installed, imported, and the demo in small.

    python -m requirements.versions            # all that `python3.X` finds
    python -m requirements.versions 3.12       # this one
    python -m requirements.versions --no-hashes --keep envs

Each gets a new virtual environment and a copy of the source, installed as a user would, not editable. Versions that are
not on this machine are named as not tried.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from requirements.pins import ROOT

PACKAGES = ("dual_hpc", "launch", "shards", "slurm")
_SOURCE = (*PACKAGES, "pyproject.toml", "README.md", "LICENSE")
_IMPORT_ALL = """
import importlib, pkgutil, sys
failed = count = 0
for package in sys.argv[1:]:
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        count += 1
        try:
            importlib.import_module(module.name)
        except Exception as error:
            failed += 1
            print(f"{module.name}: {type(error).__name__}: {error}", file=sys.stderr)
print(f"{count - failed} of {count} modules are imported")
sys.exit(failed > 0)
"""


@dataclass(frozen=True)
class Trial:
    """What became of one version."""

    version: str
    outcome: str
    seconds: float = 0.0
    megabytes: float = 0.0

    @property
    def failed(self) -> bool:
        return self.outcome.startswith("failed")


def main(argv: list[str] | None = None) -> int:
    """1 if a version fails or none could be tried."""
    parser = argparse.ArgumentParser(prog="python -m requirements.versions", description=__doc__)
    parser.add_argument("only", nargs="*", metavar="3.X", help="these versions (default: all that are advertised)")
    parser.add_argument("--no-hashes", action="store_true", help="install from constraints.txt, without hashes")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the environments here")
    args = parser.parse_args(argv)
    trials = []
    for version in args.only or advertised():
        python = interpreter(version)
        if python is None:
            trials.append(Trial(version, f"not tried: python{version} is not on this machine"))
            continue
        print(f"--- Python {version}: {python}", flush=True)
        with tempfile.TemporaryDirectory(prefix=f"python{version}-", dir=args.keep) as folder:
            trials.append(tried(version, python, Path(folder), args.no_hashes))
            if args.keep:
                shutil.move(Path(folder) / "env", args.keep / version)
    print()
    for trial in trials:
        figures = f" ({trial.seconds:.0f} s, {trial.megabytes:,.0f} MB)" if trial.seconds else ""
        print(f"Python {trial.version}: {trial.outcome}{figures}")
    done = [trial for trial in trials if trial.seconds]
    return 1 if not done or any(trial.failed for trial in trials) else 0


def advertised() -> list[str]:
    """The versions of Python that pyproject.toml names, in its order."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return re.findall(r'"Programming Language :: Python :: (3\.\d+)"', text)


def interpreter(version: str) -> str | None:
    """The path of `pythonVERSION`, if it starts and is what its name says."""
    found = shutil.which(f"python{version}")
    if found is None:
        return None
    program = "import sys, venv; print('%d.%d' % sys.version_info[:2], sys.executable)"
    done = subprocess.run([found, "-c", program], capture_output=True, text=True)
    said, _, path = done.stdout.strip().partition(" ")
    return path if done.returncode == 0 and said == version else None


def tried(version: str, python: str, folder: Path, no_hashes: bool) -> Trial:
    """Install into `folder`, import every module, run the command and the demo in small."""
    start = time.monotonic()
    environment, source, work = folder / "env", folder / "source", folder / "work"
    copy_source(source)
    work.mkdir()
    inside = str(environment / "bin" / "python")
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    clean |= {"OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    demo = ("--out", "demo", "--utterances", "40", "training.epochs=1", "launch.ranks_per_node=1")
    steps = {
        "make a virtual environment": (ROOT, [python, "-m", "venv", str(environment)]),
        "install": (
            ROOT,
            [inside, "-m", "requirements.install", "--source", str(source), *(["--no-hashes"] if no_hashes else [])],
        ),
        "pip check": (work, [inside, "-m", "pip", "check"]),
        "import every module": (work, [inside, "-c", _IMPORT_ALL, *PACKAGES]),
        "dual-hpc --help": (work, [str(environment / "bin" / "dual-hpc"), "--help"]),
        "the demo in small": (work, [inside, "-m", "launch.demo", *demo]),
    }
    for name, (where, command) in steps.items():
        began = time.monotonic()
        with open(folder / "log.txt", "w+", encoding="utf-8") as log:
            code = subprocess.run(command, cwd=where, env=clean, stdout=log, stderr=subprocess.STDOUT).returncode
            log.seek(0)
            said = log.read().strip()
        print(f"{name}: {'ok' if code == 0 else 'failed'}, {time.monotonic() - began:.0f} s", flush=True)
        if code != 0:
            print("\n".join(said.splitlines()[-30:]), flush=True)
            return Trial(version, f"failed: {name}", time.monotonic() - start, size_of(environment))
    return Trial(version, "ok", time.monotonic() - start, size_of(environment))


def copy_source(folder: Path) -> None:
    """What an installation is made from; a build in the checkout would leave its traces there."""
    folder.mkdir()
    for name in _SOURCE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / name, folder / name)


def size_of(folder: Path) -> float:
    """Megabytes below a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir()) / 1e6


if __name__ == "__main__":
    sys.exit(main())
