"""What a release says of itself: one version everywhere, complete pins, types for its users, light to import."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import dual_hpc

ROOT = Path(__file__).parents[2]
PACKAGES = ("dual_hpc", "launch", "shards", "slurm")


def project() -> str:
    return (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def requirements() -> list[Requirement]:
    """Everything that pyproject.toml asks for, the extras included."""
    listed = re.findall(r"^(?:dependencies|kernels|faces|dev|docs) = (\[.*?\])(?=\s*(?:#.*)?$)", project(), re.M | re.S)
    return [Requirement(one) for some in listed for one in ast.literal_eval(some)]


def test_the_citation_names_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == dual_hpc.__version__


def test_the_changelog_has_this_version_and_what_is_not_released_yet() -> None:
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert headings[0] == "Unreleased"
    assert dual_hpc.__version__ in headings


def test_every_requirement_is_pinned_to_a_version_in_its_range() -> None:
    pins = {
        canonicalize_name(name): version
        for name, version in (line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
    }
    wanted = requirements()
    assert len(wanted) > 20
    for one in wanted:
        assert one.specifier.contains(pins[canonicalize_name(one.name)]), one


def test_what_the_packages_read_is_in_the_wheel() -> None:
    listed = re.findall(r'^(\w+) = (\["py\.typed".*\])$', project(), re.M)
    globs = {package: ast.literal_eval(patterns) for package, patterns in listed}
    assert set(globs) == set(PACKAGES)
    found = [path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()]
    data = [path for path in found if path.suffix != ".py" and "__pycache__" not in path.parts]
    assert Path("dual_hpc/serving/page/index.html") in data
    assert not [one for one in data if not any(one.match(f"{one.parts[0]}/{glob}") for glob in globs[one.parts[0]])]


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_carries_its_types(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()
    assert re.search(rf'^{package} = \[.*"py\.typed"', project(), re.M)


def test_the_package_is_light_to_import() -> None:
    program = "import dual_hpc, sys; dir(dual_hpc); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & {
        "torch",
        "numpy",
        "transformers",
        "deepspeed",
        "mlflow",
        "pydantic",
        "yaml",
        "launch",
        "shards",
    }
