"""The code in the run directory is the code that runs."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from dual_hpc.errors import UserError
from launch import bootstrap
from launch.cluster.code_archive import (
    LARGEST,
    code_files,
    code_version,
    plugin_files,
    refuse_changes,
    write_archive,
)
from launch.cluster.sbatch import python_command
from launch.job.local_job import RankExecutor


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with a package, committed."""
    root = tmp_path / "repository"
    (root / "launch").mkdir(parents=True)
    (root / "launch" / "__init__.py").write_text("WORD = 'committed'\n")
    source = Path(bootstrap.__file__).read_bytes()
    (root / "launch" / "bootstrap.py").write_bytes(source)
    (root / ".gitignore").write_text("*.pyc\nsecret.py\n")
    for words in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "first")):
        git(root, *words)
    return root


def git(root: Path, *words: str) -> None:
    identity = {
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b",
    }
    subprocess.run(["git", "-C", root, *words], check=True, env={**os.environ, **identity}, capture_output=True)


def run(archive: Path, program: str, node: Path) -> str:
    environment = {**os.environ, "TMPDIR": str(node), "PYTHONPATH": ""}
    command = [sys.executable, archive, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=True, cwd=node).stdout.strip()


def test_a_job_runs_what_was_submitted_whatever_becomes_of_the_tree(tree: Path, tmp_path: Path) -> None:
    (tree / "launch" / "__init__.py").write_text("WORD = 'changed'\n")
    (tree / "launch" / "fresh.py").write_text("")
    (tree / "launch" / "secret.py").write_text("")
    archive = write_archive(tmp_path, tree)
    (tree / "launch" / "__init__.py").write_text("WORD = 'later'\n")
    assert run(archive, "import launch, launch.fresh; print(launch.WORD)", tmp_path) == "changed"
    with zipfile.ZipFile(archive) as packed:
        assert "launch/secret.py" not in packed.namelist()
        assert b"+WORD = 'changed'" in packed.read("uncommitted.diff")
        assert packed.comment.decode() == code_version(tree) and packed.comment.endswith(b"+dirty")
    assert write_archive(tmp_path, tree) == archive
    assert run(archive, "import launch; print(launch.WORD)", tmp_path) == "changed"


def test_the_same_code_is_the_same_archive_and_is_unpacked_once(tree: Path, tmp_path: Path) -> None:
    archives = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        archives.append(write_archive(tmp_path / name, tree))
    assert archives[0].read_bytes() == archives[1].read_bytes()
    for archive in archives:
        run(archive, "pass", tmp_path)
    assert len(list((tmp_path / f"dual-hpc-{os.getuid()}").iterdir())) == 1


def test_replaced_code_can_be_put_back(tree: Path, tmp_path: Path) -> None:
    first = write_archive(tmp_path, tree).read_bytes()
    assert write_archive(tmp_path, tree, replace=True).read_bytes() == first
    assert not (tmp_path / "code.previous.zip").exists()  # nothing was replaced
    (tree / "launch" / "__init__.py").write_text("WORD = 'changed'\n")
    for _ in range(2):  # submitted again with the same code, the previous one is still there
        assert write_archive(tmp_path, tree, replace=True).read_bytes() != first
        assert (tmp_path / "code.previous.zip").read_bytes() == first


def test_clean_refuses_changed_and_new_files(tree: Path) -> None:
    refuse_changes(tree)
    (tree / "launch" / "fresh.py").write_text("")
    with pytest.raises(UserError, match=r"--clean: uncommitted changes: launch/fresh.py"):
        refuse_changes(tree)


def test_code_outside_a_repository_is_packed_as_it_is(tmp_path: Path) -> None:
    root = tmp_path / "installed"
    (root / "launch" / "__pycache__").mkdir(parents=True)
    (root / "launch" / "__init__.py").write_text("WORD = 'installed'\n")
    (root / "launch" / "__pycache__" / "x.pyc").write_text("")
    (root / "launch" / "bootstrap.py").write_bytes(Path(bootstrap.__file__).read_bytes())
    archive = write_archive(tmp_path, root)
    assert run(archive, "import launch; print(launch.WORD)", tmp_path) == "installed"
    with zipfile.ZipFile(archive) as packed:
        assert not any(name.endswith(".pyc") for name in packed.namelist())


def test_a_virtual_environment_inside_another_repository_is_not_a_checkout(tree: Path) -> None:
    root = tree / "venv" / "site-packages"
    (root / "launch").mkdir(parents=True)
    (root / "launch" / "__init__.py").write_text("")
    (tree / ".gitignore").write_text("venv\n")
    assert code_version(root) == "unknown"
    with pytest.raises(UserError, match=r"--clean: .* is not a git checkout"):
        refuse_changes(root)
    assert code_files(root) == ["launch/__init__.py"]


def test_an_installed_package_is_known_by_its_release() -> None:
    assert code_version() != "unknown"


def test_a_link_to_a_file_of_the_tree_is_packed_as_that_file(tree: Path, tmp_path: Path) -> None:
    (tree / "tools").mkdir()
    (tree / "tools" / "elsewhere.py").write_text("WORD = 'linked'\n")
    (tree / "launch" / "linked.py").symlink_to(tree / "tools" / "elsewhere.py")
    archive = write_archive(tmp_path, tree)
    assert run(archive, "import launch.linked; print(launch.linked.WORD)", tmp_path) == "linked"


def test_a_deleted_file_is_left_out(tree: Path, tmp_path: Path) -> None:
    (tree / "launch" / "__init__.py").unlink()
    assert code_files(tree) == ["launch/bootstrap.py"]


@pytest.mark.parametrize("kind", ["broken", "folder", "repository", "large", "outside", "tracked outside"])
def test_what_an_archive_cannot_hold_is_named_in_one_line(kind: str, tree: Path, tmp_path: Path) -> None:
    path = tree / "launch" / "odd"
    if kind == "broken":
        path.symlink_to(tmp_path / "nowhere")
    elif kind == "folder":
        (tmp_path / "folder").mkdir()
        path.symlink_to(tmp_path / "folder")
    elif kind == "repository":
        git(tree, "init", "-q", str(path))
        (path / "a.py").write_text("")
        git(path, "add", ".")
        git(path, "commit", "-q", "-m", "inner")
    elif "outside" in kind:
        (tmp_path / "id_rsa").write_text("SECRET")
        path = path.with_suffix(".py" if kind == "outside" else ".txt")
        path.symlink_to(tmp_path / "id_rsa")
        if kind != "outside":
            git(tree, "add", str(path))
    else:
        with open(path.with_suffix(".py"), "wb") as file:
            file.truncate(LARGEST + 1)
    with pytest.raises(UserError, match="launch/odd") as caught:
        write_archive(tmp_path, tree)
    assert "\n" not in str(caught.value) and not (tmp_path / "code.zip").exists()


def test_a_local_job_runs_the_code_it_was_submitted_with(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tree is changed after the submission and before the job looks at its code."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    folder, logs = str(tmp_path), tmp_path / "run" / "logs"
    logs.mkdir(parents=True)
    write_archive(tmp_path / "run", tree)

    def rank() -> None:
        import time
        from pathlib import Path

        while not (Path(folder) / "changed").exists():
            time.sleep(0.05)
        import launch

        (Path(folder) / "word").write_text(launch.WORD)

    python = python_command(sys.executable, tmp_path / "run")
    job = RankExecutor(logs, 1, hours=0.1, signal_seconds=1, python=python).submit(rank)
    (tree / "launch" / "__init__.py").write_text("WORD = 'later'\n")
    (tmp_path / "changed").touch()
    assert job._process is not None and job._process.wait(600) == 0
    assert (tmp_path / "word").read_text() == "committed"


def test_plugins_go_with_the_code_and_import_from_it(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = tmp_path / "lab"
    (lab / "mylab").mkdir(parents=True)
    (lab / "mylab" / "emotion.py").write_text("from launch import WORD\n")
    monkeypatch.chdir(lab)
    monkeypatch.setattr(sys, "path", list(sys.path))
    archive = write_archive(tmp_path, tree, plugins=["mylab.emotion"])
    (lab / "mylab" / "emotion.py").unlink()
    assert run(archive, "import mylab.emotion; print(mylab.emotion.WORD)", tmp_path) == "committed"
    (lab / "mylab" / "emotion.py").write_text("")
    with open(lab / "mylab" / "weights.py", "wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(UserError, match=r"weights\.py has 16 MB; .* than in the package of a plugin"):
        plugin_files(["mylab"])


SECRETS = (
    *(
        ".env",
        ".netrc",
        ".git-credentials",
        ".ssh/config.py",
        "prod.env",
        "id_rsa",
        "id_ed25519.txt",
        "key.pem",
        "a.KEY",
    ),
    *("credentials.json", "secrets.yaml", "my_password.txt", "api_key.toml", "account-secret.json", "a.p12"),
)


@pytest.mark.parametrize("tracked", [True, False])
def test_neither_the_archive_nor_the_patch_in_it_holds_hidden_files_and_keys(
    tracked: bool, tree: Path, tmp_path: Path
) -> None:
    for name in SECRETS:
        (tree / "launch" / name).parent.mkdir(exist_ok=True)
        (tree / "launch" / name).write_text("TOPSECRET-1\n")
    if tracked:
        git(tree, "add", "--force", ".")
        git(tree, "commit", "-q", "-m", "a mistake")
        for name in SECRETS:
            (tree / "launch" / name).write_text("TOPSECRET-2\n")
    with zipfile.ZipFile(write_archive(tmp_path, tree)) as packed:
        assert not any(b"TOPSECRET" in packed.read(name) for name in packed.namelist())
        assert {"launch/__init__.py", "launch/bootstrap.py"} <= set(packed.namelist())


def test_of_untracked_files_only_plainly_named_sources_are_taken(tree: Path) -> None:
    for name in ("notes", "dump.json", "data.csv", "result.npz", "service-account.json", "secrets.py"):
        (tree / "launch" / name).write_text("x\n")
    for name in ("fresh.py", "mine.yaml", "kernel.cu"):
        (tree / "launch" / name).write_text("x\n")
    (tree / "launch" / "up").write_text("#!/bin/bash\n")
    fresh = ["launch/fresh.py", "launch/kernel.cu", "launch/mine.yaml", "launch/up"]
    assert code_files(tree) == sorted(["launch/__init__.py", "launch/bootstrap.py", *fresh])
    git(tree, "add", "launch/data.csv", "launch/secrets.py")  # tracked: somebody meant it
    assert {"launch/data.csv", "launch/secrets.py"} < set(code_files(tree))


def test_a_plugin_goes_without_hidden_files_and_keys(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "lab" / "hidlab"
    package.mkdir(parents=True)
    for name in ("__init__.py", "data.csv", ".env", "token.pem", "credentials.json"):
        (package / name).write_text("# TOPSECRET\n" if name not in ("__init__.py", "data.csv") else "")
    monkeypatch.chdir(tmp_path / "lab")
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert sorted(plugin_files(["hidlab"])) == ["hidlab/__init__.py", "hidlab/data.csv"]
    (package / "far.py").symlink_to("/etc/hostname")
    with pytest.raises(UserError, match=r"hidlab/far\.py leads out of"):
        plugin_files(["hidlab"])
