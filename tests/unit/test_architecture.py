"""The house's rules, read off the source: which room may import which, how large a file grows, what `--help` loads."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("dual_hpc", "shards", "launch", "slurm")
LARGEST = 350  # lines

# Modules that every room may import, and that import nothing of ours.
FREE = (
    *("modality", "picture", "printable", "credentials", "durations", "start_up", "unsafe_advice", "host_values"),
    *("side_by_side", "token_required"),
)
# Rooms, and what each may import of the others. An edge that no file uses any more is taken out of the table.
DUAL_HPC = {
    "errors": set(),
    "heartbeat": set(),
    "files": {"errors", "heartbeat"},
    "background": set(),
    "group": {"heartbeat", "background"},
    "palette": set(),
    "progress": set(),
    "registry": {"errors"},
    "model_manifest": {"errors", "files"},
    "plugins": {"errors", "files", "registry"},
    "kernels": {"errors"},
    "config": {"errors", "files"},
    "run": {"errors", "files", "group", "config"},
    "monitor": {"errors", "run"},
    "data": {"errors", "heartbeat", "files"},
    "model": {"errors", "files", "registry", "model_manifest", "kernels", "config"},
    "checkpoint": {"errors", "heartbeat", "files", "group", "model_manifest", "run"},
    "inference": {"errors", "files", "palette", "model_manifest", "plugins", "data", "model"},
    "serving": {"errors", "files", "palette", "plugins", "inference"},
    "tracking": {"errors", "files", "palette", "model_manifest", "plugins", "config", "run"},
    "evaluation": {"errors", "files", "palette", "progress", "registry", "plugins", "config", "run", "data", "model"},
    "api": {"config", "run", "evaluation"},
    "training": {
        "errors",
        "heartbeat",
        "files",
        "background",
        "group",
        "model_manifest",
        "plugins",
        "config",
        "run",
        "data",
        "model",
        "checkpoint",
        "monitor",
        "tracking",
        "evaluation",
    },
}
# What `import dual_hpc` offers packs and trains as well, with imports inside its functions: the one way upwards.
FACADE = "dual_hpc.api"
# From the top floor down: a room imports those below it.
LAUNCH = ("cli", "commands", "sweeps", "runs", "job", "records", "cluster")
DATA = (
    "loader",
    "batch",
    "workers",
    "sampling",
    "bad_samples",
    "collate",
    "layout",
    "dataset",
    "preparation",
    "decoding",
    "format",
)


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


def room_of(name: str, package: str, rooms: Collection[str]) -> str | None:
    """The room of `package` that a dotted name lies in."""
    rest = name.removeprefix(f"{package}.").split(".")[0]
    return rest if name.startswith(f"{package}.") and rest in rooms else None


def edges(package: str, rooms: Collection[str]) -> dict[tuple[str, str], list[str]]:
    """(room, room it imports) -> the modules that do."""
    found: dict[tuple[str, str], list[str]] = {}
    for path in sources():
        room = room_of(module_of(path), package, rooms)
        for name in imports_of(path) if room is not None else ():
            other = room_of(name, package, rooms)
            if other is not None and other != room:
                found.setdefault((str(room), other), []).append(module_of(path))
    return found


@pytest.mark.parametrize("path", sources(), ids=module_of)
def test_packages_import_one_way(path: Path) -> None:
    below = {
        "dual_hpc": {"dual_hpc"},
        FACADE: {"dual_hpc", "shards", "launch"},
        "shards": {"dual_hpc", "shards"},
        "slurm": {"slurm"},
        "launch": set(PACKAGES),
    }
    module = module_of(path)
    for name in imports_of(path):
        assert name.split(".")[0] in below.get(module, below[module.split(".")[0]]), f"{module} imports {name}"


def test_rooms_of_dual_hpc_import_what_they_may_and_use_what_they_are_granted() -> None:
    granted = {(room, other) for room, others in DUAL_HPC.items() for other in others}
    used = edges("dual_hpc", DUAL_HPC)
    assert not {edge: used[edge] for edge in used.keys() - granted}, "imports that the table does not grant"
    unused = granted - used.keys()
    assert not unused, "granted, and used by nobody"


@pytest.mark.parametrize("name", FREE)
def test_what_every_room_may_import_imports_no_room(name: str) -> None:
    assert not imports_of(ROOT / "dual_hpc" / f"{name}.py")


def test_the_rooms_of_dual_hpc_have_no_circle() -> None:
    rest = {room: set(others) for room, others in DUAL_HPC.items()}
    while rest:
        free = [room for room, needs in rest.items() if not needs & rest.keys()]
        assert free, f"these rooms import each other: {sorted(rest)}"
        for room in free:
            del rest[room]


@pytest.mark.parametrize(("package", "floors"), [("launch", LAUNCH), ("dual_hpc.data", DATA)])
def test_floors_import_downwards(package: str, floors: tuple[str, ...]) -> None:
    upward = {
        edge: users for edge, users in edges(package, floors).items() if floors.index(edge[1]) < floors.index(edge[0])
    }
    assert not upward


def test_every_folder_of_launch_stands_on_a_floor() -> None:
    assert {path.parent.name for path in (ROOT / "launch").glob("*/__init__.py")} == set(LAUNCH)


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


def test_no_model_is_known_by_name_outside_the_models() -> None:
    """Training, export, evaluation, inference and tracking ask a `ModelFamily`."""
    named = re.compile(r"\bDual(Config|ForEmotionClassification|Output)\b|\bLateFusion\w*")
    rest = [path for path in sources() if ROOT / "dual_hpc" / "model" not in path.parents]
    found = {module_of(path) for path in rest if named.search(path.read_text(encoding="utf-8"))}
    assert not found
