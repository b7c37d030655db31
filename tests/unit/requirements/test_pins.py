"""The files of pins agree with constraints.txt and with the Pythons that are advertised."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from requirements.pins import (
    BUILD,
    BUILD_NAMES,
    CONSTRAINTS,
    FOLDER,
    LOCK,
    ROOT,
    TOOLS,
    TORCH,
    Pin,
    normalized,
    read_pins,
    render,
    torch_file,
)
from requirements.versions import advertised

FILES = sorted(FOLDER.glob("*.txt"))


def pins(file: Path) -> dict[str, Pin]:
    return read_pins(file.read_text(encoding="utf-8"))


def test_every_pin_of_constraints_stands_with_its_version_in_one_file_with_hashes() -> None:
    tested = {name: pin.version for name, pin in pins(CONSTRAINTS).items()}
    build, lock, torch = ({name: pin.version for name, pin in pins(file).items()} for file in (BUILD, LOCK, TORCH))
    assert set(build) == set(BUILD_NAMES)
    assert {**build, **lock, "torch": torch["torch"]} == tested
    assert len(build) + len(lock) + 1 == len(tested)
    assert not set(torch) - {"torch"} & set(tested)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_pin_has_hashes_and_no_file_names_a_host(file: Path) -> None:
    found = pins(file)
    assert found and all(pin.hashes and len(set(pin.hashes)) == len(pin.hashes) for pin in found.values())
    assert not re.search(r"https?:|--(extra-)?index-url|--find-links", file.read_text(encoding="utf-8"))


def test_what_makes_and_audits_the_pins_is_pinned_itself() -> None:
    assert {"uv", "pip-audit"} <= set(pins(TOOLS))


def test_each_build_of_torch_has_a_file_of_the_same_release() -> None:
    release = pins(CONSTRAINTS)["torch"].version
    assert torch_file(release) == TORCH and torch_file(f"{release}+cpu").is_file()
    for file in FOLDER.glob("torch-*.txt"):
        assert [torch_file(pin.version) for pin in pins(file).values()] == [file]
        assert pins(file)["torch"].version.split("+")[0] == release
    assert not torch_file(f"{release}+rocm9").is_file()


def test_every_package_can_be_installed_by_the_first_release_of_every_advertised_python() -> None:
    tested, refused = pins(CONSTRAINTS), []
    for found in metadata.distributions():
        wanted = tested.get(normalized(found.metadata["Name"]))
        if wanted is None or found.version.split("+")[0] != wanted.version:
            continue  # not ours, or this environment is of another day
        asked = found.metadata.json.get("requires_python")  # some packages ask for none
        accepts = SpecifierSet(str(asked or ""))
        refused += [f"{found.name} {python}.0" for python in advertised() if f"{python}.0" not in accepts]
    assert not refused


def test_the_same_pythons_are_named_everywhere() -> None:
    versions = advertised()
    assert versions == sorted(versions, key=lambda version: int(version[2:])) and len(versions) > 1
    first, last = versions[0], versions[-1]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'requires-python = ">={first},<3.{int(last[2:]) + 1}"' in project
    assert f'target-version = "py{first.replace(".", "")}"' in project and f'python_version = "{first}"' in project
    for name, span in {"README.md": f"{first}–{last}", "docs/cluster.md": f"{first}-{last}"}.items():
        assert f"Python {span}" in (ROOT / name).read_text(encoding="utf-8")
    assert f"{first} to {last}" in (ROOT / "docs/first-run.md").read_text(encoding="utf-8")
    for workflow in (ROOT / ".github/workflows").glob("*.yml"):
        assert set(re.findall(r'"?(3\.\d+)"?\s*$', workflow.read_text(encoding="utf-8"), re.M)) <= set(versions)


def test_pins_are_read_as_they_are_written() -> None:
    one = Pin("A.b", "1.0", "A.b==1.0 ; sys_platform == 'linux'", ["0" * 64, "1" * 64])
    text = render([one, Pin("a", "2", "a==2", ["2" * 64])], "about")
    assert text.startswith("# about\na==2 \\\n    --hash=sha256:222")
    assert read_pins(text)["a-b"] == one
    labelled = read_pins("torch==2.13.0+cpu \\\n --hash=sha256:" + "3" * 64 + "  # a.whl\n")
    assert labelled["torch"].version == "2.13.0+cpu"


@pytest.mark.parametrize("line", ["numpy", "numpy>=2", "-r other.txt", "git+ssh://x", "--index-url x"])
def test_a_line_that_is_no_pin_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="not a pin"):
        read_pins(line)
