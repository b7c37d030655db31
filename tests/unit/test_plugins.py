"""A researcher's own module: found, imported once, blamed in one line, and packed so that it imports elsewhere too."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from dual_hpc.config import load_config
from dual_hpc.errors import UserError
from dual_hpc.plugins import load_plugins, plugin_hashes, plugin_sources
from dual_hpc.registry import Registry
from tests.unit.other_user import STRANGER, needs_root


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory outside the project with a package in it; what is imported of it is forgotten again."""
    folder = tmp_path / "lab"
    (folder / "mylab").mkdir(parents=True)
    (folder / "mylab" / "__init__.py").write_text("NAME = 'my lab'\n")
    (folder / "mylab" / "emotion.py").write_text("from mylab.tools import scale\nimport json\nDEGREE = scale(1)\n")
    (folder / "mylab" / "tools.py").write_text("from . import constants\ndef scale(x): return x * constants.FACTOR\n")
    (folder / "mylab" / "constants.py").write_text("FACTOR = 7\n")
    (folder / "mylab" / "unrelated.py").write_text("raise RuntimeError('nobody asked for this')\n")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return folder


def test_a_configuration_names_plugins_and_older_ones_have_none() -> None:
    assert load_config("demo").plugins == []
    assert load_config("demo", ["plugins=[mylab.emotion,other]"]).plugins == ["mylab.emotion", "other"]
    with pytest.raises(UserError, match=r"^plugins\.0: .*dotted name of a Python module"):
        load_config("demo", ["plugins=[mylab/emotion.py]"])


def test_a_plugin_is_found_in_the_working_directory_and_imported_once(lab: Path) -> None:
    load_plugins(["mylab.emotion"])
    first = sys.modules["mylab.emotion"]
    assert first.DEGREE == 7
    load_plugins(["mylab.emotion"])
    assert sys.modules["mylab.emotion"] is first


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("absent.module", None, r"^plugins: there is no module 'absent\.module' .* PYTHONPATH"),
        ("mylab.absent", None, r"^plugins: there is no module 'mylab\.absent'"),
        ("mylab/emotion.py", None, r"^plugins: there is no module .* dotted name, as in mylab\.emotion$"),
        ("broken", "1 / 0", r"^plugins: broken cannot be imported: ZeroDivisionError: division by zero$"),
        ("broken", "import not_installed", r"^plugins: broken cannot be imported: No module named 'not_installed'$"),
        ("broken", "def f(:", r"^plugins: broken cannot be imported: SyntaxError: "),
        ("broken", "raise SystemExit(3)", r"^plugins: broken cannot be imported: SystemExit: 3$"),
    ],
)
def test_a_plugin_that_cannot_be_imported_is_named_in_one_line(
    lab: Path, name: str, content: str | None, words: str
) -> None:
    if content is not None:
        (lab / f"{name}.py").write_text(content)
    with pytest.raises(UserError, match=words) as caught:
        load_plugins([name])
    assert "\n" not in str(caught.value)


def test_a_plugin_cannot_take_a_name_that_is_taken(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry: Registry[int] = Registry("metric", "metrics")
    registry.register("ua", 1)
    monkeypatch.setattr("dual_hpc.plugins.REGISTRY", registry, raising=False)
    (lab / "mine.py").write_text("import dual_hpc.plugins as p\np.REGISTRY.register('own', 2)\n")
    (lab / "thief.py").write_text("import dual_hpc.plugins as p\np.REGISTRY.register('ua', 3)\n")
    load_plugins(["mine"])
    assert registry.plugin_of("own") == "mine" and registry.plugin_of("ua") is None
    with pytest.raises(UserError, match=r"^plugins: thief: metric 'ua' is registered twice"):
        load_plugins(["thief"])


def test_sources_are_the_module_the_packages_around_it_and_what_it_imports_of_them(lab: Path) -> None:
    assert list(plugin_sources("mylab.emotion")) == [
        "mylab/__init__.py",
        "mylab/constants.py",
        "mylab/emotion.py",
        "mylab/tools.py",
    ]
    assert "mylab.emotion" not in sys.modules  # nothing was run for it


def test_a_package_goes_whole_and_a_lone_module_takes_its_neighbours(lab: Path) -> None:
    (lab / "mylab" / "data.csv").write_text("1,2\n")
    (lab / "mylab" / "__pycache__").mkdir()
    (lab / "mylab" / "__pycache__" / "x.pyc").write_text("")
    assert {"mylab/data.csv", "mylab/unrelated.py"} < set(plugin_sources("mylab"))
    assert not any("pycache" in name for name in plugin_sources("mylab"))
    (lab / "alone.py").write_text("def later():\n    import neighbour\n")
    (lab / "neighbour.py").write_text("")
    assert list(plugin_sources("alone")) == ["alone.py", "neighbour.py"]


def test_of_installed_packages_only_the_plugin_itself_is_packed(lab: Path) -> None:
    site = lab / "lib" / "site-packages"
    (site / "installed").mkdir(parents=True)
    (site / "installed" / "__init__.py").write_text("import other, installed.more")
    (site / "other.py").write_text("")
    sys.path.insert(0, str(site))
    (site / "installed" / "more.py").write_text("")
    assert list(plugin_sources("installed")) == ["installed/__init__.py", "installed/more.py"]


def test_the_hash_changes_with_any_of_the_sources(lab: Path) -> None:
    before = plugin_hashes(["mylab.emotion"])
    assert before == plugin_hashes(["mylab.emotion"]) and len(before["mylab.emotion"]) == 64
    (lab / "mylab" / "unrelated.py").write_text("changed = True\n")
    assert plugin_hashes(["mylab.emotion"]) == before
    (lab / "mylab" / "constants.py").write_text("FACTOR = 8\n")
    assert plugin_hashes(["mylab.emotion"]) != before


def test_sources_import_from_an_archive_without_their_folder(lab: Path, tmp_path: Path) -> None:
    archive = tmp_path / "code.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for place, path in plugin_sources("mylab.emotion").items():
            packed.write(path, place)
    program = (
        "import sys; from pathlib import Path; from dual_hpc.plugins import load_plugins\n"
        f"load_plugins(['mylab.emotion'], Path({str(archive)!r}))\n"
        "print(sys.modules['mylab.emotion'].DEGREE)"
    )
    (lab / "mylab").rename(tmp_path / "away")
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert done.stdout == "7\n", done.stderr


@needs_root
def test_a_plugin_is_not_taken_from_an_archive_of_others_unless_trusted(lab: Path, tmp_path: Path) -> None:
    archive = tmp_path / "run" / "code.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("theirs.py", "WORD = 'run'\n")
    os.chown(archive, STRANGER, STRANGER)
    with pytest.raises(UserError, match=f"code.zip belongs to user {STRANGER}, .* --trust"):
        load_plugins(["theirs"], archive)
    assert "theirs" not in sys.modules
    load_plugins(["theirs"], archive, trust=True)
    assert sys.modules["theirs"].WORD == "run"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"noise" * 100])
def test_an_archive_that_is_damaged_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "code.zip").write_bytes(content)
    with pytest.raises(UserError, match=r"code\.zip is not a readable code archive"):
        load_plugins(["nowhere_at_all"], tmp_path / "code.zip", trust=True)


def test_an_archive_that_would_fill_the_disk_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "code.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("nowhere_at_all/__init__.py", b"\n" * (300 << 20))
    with pytest.raises(UserError, match="more than 256 MiB"):
        load_plugins(["nowhere_at_all"], tmp_path / "code.zip", trust=True)
