"""Two users of one project: made by root, with a store that their group may write, and removed again.

The interpreter of the tests may lie where only root can read it (in a home folder). Its files are then copied to where
both can; the installed packages and the checkout themselves must be readable, or there is nothing that they could run.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT, NAMES = "dualproject", ("dualana", "dualben")
LEFT_OUT = ("test", "tests", "idlelib", "site-packages", "config-*")  # of Python's own library


@dataclass(frozen=True)
class Colleague:
    """A user of the project, and how to give a command as this user.

    Attributes:
        home: the only folder besides the store that the user may write.
        library: of a copied interpreter.
    """

    name: str
    store: Path
    home: Path
    python: Path
    library: Path
    umask: int = 0o002

    def start(self, *words: object) -> subprocess.Popen[str]:
        """Start `dual-hpc`."""
        return self.start_python("-m", "launch.cli.main", *words)

    def start_python(self, *words: object) -> subprocess.Popen[str]:
        user = pwd.getpwnam(self.name)
        environment = {key: os.environ[key] for key in ("PATH", "SLURM_CONF", "LANG") if key in os.environ}
        environment |= {"HOME": str(self.home), "USER": self.name, "LOGNAME": self.name, "OMP_NUM_THREADS": "1"}
        environment |= {"DUAL_STORE": str(self.store), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        environment |= {"LD_LIBRARY_PATH": str(self.library)} if self.library.exists() else {}
        return subprocess.Popen(
            [self.python, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=self.home,
            user=user.pw_uid,
            group=user.pw_gid,
            extra_groups=[grp.getgrnam(PROJECT).gr_gid],
            umask=self.umask,
        )

    def dual(self, *words: object, code: int = 0) -> str:
        """Run `dual-hpc`; its standard output, or standard error where a failure is expected."""
        process = self.start(*words)
        out, err = process.communicate(timeout=240)
        assert process.returncode == code, out + err
        return err if code else out

    def with_umask(self, umask: int) -> Colleague:
        return replace(self, umask=umask)


@contextmanager
def two_colleagues(shards: Path) -> Iterator[tuple[Colleague, Colleague, Path]]:
    """Two users in one group with a store of the group's, and the shards where both can read them."""
    if os.geteuid() != 0 or not all(shutil.which(name) for name in ("useradd", "userdel", "groupadd", "groupdel")):
        pytest.skip("only root, with useradd and groupadd, can make two users")
    place = Path(tempfile.mkdtemp(prefix="dual-colleagues-"))
    try:
        place.chmod(0o755)
        _remove_users()
        subprocess.run(["groupadd", PROJECT], check=True)
        store = place / "store"
        store.mkdir()
        shutil.chown(store, group=PROJECT)
        store.chmod(0o2775)
        shutil.copytree(shards, place / "shards", copy_function=shutil.copyfile)
        python = _copy_of_python(place)
        both = [_make_user(Colleague(name, store, place / name, python, place / "base" / "lib")) for name in NAMES]
        tried = both[0].start_python("-c", "import torch, submitit, launch.cli.main")
        if tried.wait():
            assert tried.stderr is not None
            _unavailable(
                f"another user cannot run this interpreter, or read the checkout: {tried.stderr.read()[-300:]}"
            )
        yield both[0], both[1], place / "shards"
    finally:
        _remove_users()
        shutil.rmtree(place, ignore_errors=True)


def _unavailable(reason: str) -> NoReturn:
    """A failure where Slurm is required, as root can make what is missing."""
    if os.environ.get("DUAL_REQUIRE_SLURM") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def _make_user(user: Colleague) -> Colleague:
    subprocess.run(["useradd", "--no-create-home", "--user-group", "--groups", PROJECT, user.name], check=True)
    user.home.mkdir(mode=0o700)
    shutil.chown(user.home, user.name, user.name)
    return user


def _remove_users() -> None:
    for words in (*(["userdel", name] for name in NAMES), *(["groupdel", name] for name in (*NAMES, PROJECT))):
        subprocess.run(words, capture_output=True, check=False)


def _copy_of_python(place: Path) -> Path:
    """A virtual environment on a copy of this interpreter, with the packages of this one."""
    base, version = place / "base", f"python{sys.version_info[0]}.{sys.version_info[1]}"
    (base / "bin").mkdir(parents=True)
    shutil.copy(Path(sys.executable).resolve(), base / "bin" / version)
    library = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(library, base / "lib" / version, ignore=shutil.ignore_patterns(*LEFT_OUT))
    for shared in library.parent.glob("libpython*.so.*"):
        shutil.copy(shared, base / "lib" / shared.name)
    environment = place / "venv"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to(base / "bin" / version)
    (environment / "pyvenv.cfg").write_text(f"home = {base / 'bin'}\ninclude-system-site-packages = false\n")
    packages = environment / "lib" / version
    packages.mkdir(parents=True)
    (packages / "site-packages").symlink_to(sysconfig.get_path("purelib"))
    return environment / "bin" / "python"
