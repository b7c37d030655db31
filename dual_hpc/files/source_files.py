"""Which files of a folder of code are its source: what a job's archive and a logged model may take along.

Both outlive the moment and are read by others, so nothing is taken that was never meant as code: no hidden files, no
keys, nothing that a link reaches outside of the folder, and of what git does not track only plainly named sources.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from dual_hpc.errors import UserError
from dual_hpc.files.real_path import real_path

_SOURCES = {".py", ".pyi", ".typed", ".yaml", ".yml", ".toml", ".sh", ".c", ".cc", ".cpp", ".cu", ".cuh", ".h", ".hpp"}
_KEYS = {".pem", ".key", ".p12", ".pfx", ".jks", ".kdbx", ".ppk", ".gpg", ".asc", ".keytab", ".ovpn", ".env", ".netrc"}
_SECRET = re.compile(
    r"^_?(id_(rsa|dsa|ecdsa|ed25519)|netrc|htpasswd)|secret|credential|passw(or)?d|api_?key|access_?token|private_?key",
    re.IGNORECASE,
)
_LEFTOVERS = ("__pycache__", ".pyc", ".pyo")


def source_files(root: Path, packages: Iterable[str]) -> list[str]:
    """Paths of the source files of these packages, relative to `root`.

    Of a checkout: what git tracks, and plainly named sources that it neither tracks nor ignores; else the plainly named
    sources. A link to a file within `root` counts as that file.

    Raises:
        UserError: one is a link out of `root`, a broken link, a linked folder, or a submodule.
    """
    packages = list(packages)
    known = _git_names(root, packages, "--cached")
    if known:
        names = known | {
            name for name in _git_names(root, packages, "--others", "--exclude-standard") if _is_source(root / name)
        }
    else:
        found = (path for package in packages for path in (root / package).rglob("*"))
        there = (path for path in found if path.is_symlink() or not path.is_dir())
        known = names = {path.relative_to(root).as_posix() for path in there if _is_source(path)}
    taken = []
    for name in sorted(names):
        path, is_known_code = root / name, name in known and name.endswith(".py")
        if is_hidden(name) or is_leftover(name) or (is_secret(name) and not is_known_code):
            continue
        if path.is_symlink() or path.exists():  # not a tracked file that was deleted
            check_is_inside(path, root)
            taken.append(name)
    return taken


def _git_names(root: Path, packages: list[str], *which: str) -> set[str]:
    return set(git(root, "ls-files", "-z", *which, "--", *packages).split("\0")) - {""}


def _is_source(path: Path) -> bool:
    """True for a plainly named source or script, and for what only looks like a file: that is refused, not left out."""
    if not path.is_file() or path.suffix in _SOURCES:
        return True
    try:
        with open(path, "rb") as file:
            return not path.suffix and file.read(2) == b"#!"
    except OSError:
        return False


def check_is_inside(path: Path, root: Path) -> None:
    """Make sure that a file is one, and that it lies below `root`, links resolved.

    Raises:
        UserError: it is not; the message says what it is.
    """
    if not path.is_file():
        kind = "a broken link or a special file" if not path.is_dir() else "a linked folder or a submodule"
        raise UserError(f"{path} is {kind}, which a job's code cannot hold; put the files there themselves")
    if path.is_symlink() and not real_path(path).is_relative_to(real_path(root)):
        raise UserError(f"{path} leads out of {root}, where a job's code takes nothing from; put the file there itself")


def is_hidden(name: str) -> bool:
    """True for a path with a part that begins with a dot."""
    return any(part.startswith(".") for part in PurePosixPath(name).parts)


def is_secret(name: str) -> bool:
    """True for a hidden file, and for one that is named like a key or a password."""
    path = PurePosixPath(name)
    return is_hidden(name) or path.suffix.lower() in _KEYS or _SECRET.search(path.stem) is not None


def is_leftover(name: str) -> bool:
    """True for what Python leaves beside its sources."""
    return any(part.endswith(_LEFTOVERS) for part in PurePosixPath(name).parts)


def git(root: Path, *arguments: str) -> str:
    """The output of git; empty without git, without a repository, or for one that git does not trust."""
    if shutil.which("git") is None:
        return ""
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="surrogateescape", timeout=120)
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout if done.returncode == 0 else ""
