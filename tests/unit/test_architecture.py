"""The house's rules, read off the source: which room may import which, how large a file grows, what `--help` loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("dual_hpc", "shards", "launch", "slurm")
LARGEST = 350  # lines

# Rooms of dual_hpc and what each may import of the others; atomic, config and errors are free to all but kernels.
ALLOWED = {
    "errors": set(),
    "atomic": set(),
    "kernels": {"errors"},
    "config": {"errors"},
    "data": {"errors", "atomic", "config"},
    "model": {"errors", "config", "kernels"},
    "checkpoint": {"errors", "config"},
    "tracking": {"errors", "atomic", "config", "model", "data", "inference"},
    "evaluation": {"errors", "atomic", "config", "model", "data", "tracking"},
    "inference": {"errors", "config", "model", "data"},
    "training": {"errors", "atomic", "config", "model", "data", "checkpoint", "tracking", "evaluation"},
}


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def imports_of(path: Path) -> set[str]:
    """Full names of our own modules that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] in PACKAGES}


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(name: str) -> str | None:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "dual_hpc" and parts[1] in ALLOWED else None


@pytest.mark.parametrize("path", sources(), ids=module_of)
def test_imports_run_one_way(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    below = {"dual_hpc": {"dual_hpc"}, "shards": {"dual_hpc", "shards"}, "slurm": {"slurm"}, "launch": set(PACKAGES)}
    for name in imports_of(path):
        assert name.split(".")[0] in below[package], f"{module_of(path)} imports {name}"
        room, other = room_of(module_of(path)), room_of(name)
        if room is not None and other is not None and room != other:
            assert other in ALLOWED[room], f"the room {room} ({module_of(path)}) imports {other}"


def test_the_rooms_have_no_cycle() -> None:
    edges: dict[str, set[str]] = {room: set() for room in ALLOWED}
    for path in (ROOT / "dual_hpc").rglob("*.py"):
        room = room_of(module_of(path))
        if room is not None:
            edges[room] |= {other for name in imports_of(path) if (other := room_of(name)) and other != room}
    while edges:
        free = [room for room, needs in edges.items() if not needs & edges.keys()]
        assert free, f"these rooms import each other: {sorted(edges)}"
        for room in free:
            del edges[room]


@pytest.mark.parametrize("path", sources(), ids=module_of)
def test_no_file_outgrows_one_concept(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LARGEST


def test_no_script_hides_a_standard_module() -> None:
    """`python launch/train.py` puts launch/ first on the path, where a profile.py would hide Python's own."""
    for folder in ("launch", "shards"):
        hidden = {path.stem for path in (ROOT / folder).glob("*.py")} & set(sys.stdlib_module_names)
        assert not hidden, f"{folder}: {hidden}"


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["submit", "--help"], ["doctor", "--help"]])
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    heavy = {"torch", "numpy", "deepspeed", "mlflow", "transformers", "pydantic", "yaml", "submitit", "rich", "av"}
    program = (
        "import sys; from launch.cli.main import main\n"
        f"try: main({words!r})\n"
        "except SystemExit: pass\n"
        "print('LOADED', *sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(done.stdout.splitlines()[-1].split()[1:])
    assert not loaded & heavy
