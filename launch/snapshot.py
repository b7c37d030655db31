"""The code a run was submitted with: one archive in its directory, which its jobs run however long they wait."""

from __future__ import annotations

import io
import shutil
import subprocess
import zipfile
from pathlib import Path

from dual_hpc.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("dual_hpc", "launch", "shards", "slurm")
ARCHIVE = "code.zip"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # no file times: the same code is the same archive


def code_version(root: Path = ROOT) -> str:
    """The commit of the tree at `root`, with "+dirty" if it has changes; "unknown" outside a repository."""
    commit = _git(root, "rev-parse", "HEAD").strip()
    if not commit:
        return "unknown"
    return f"{commit}+dirty" if _changes(root) else commit


def refuse_changes(root: Path = ROOT) -> None:
    """For `--clean`: only committed code may be submitted.

    Raises:
        UserError: a file of the packages is changed or new.
    """
    changed = _changes(root)
    if changed:
        raise UserError(f"--clean: {changed[0]} and {len(changed) - 1} more differ from the last commit; commit them")


def write_archive(run: Path, root: Path = ROOT) -> Path:
    """Pack the packages as they stand, uncommitted changes and new files included; a run that has its code keeps it.

    The archive's comment is its version, and `uncommitted.diff` in it what differs from that commit.
    """
    path = run / ARCHIVE
    if path.exists():
        return path
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in _files(root):
            _add(packed, name, (root / name).read_bytes())
        _add(packed, "__main__.py", (root / "launch" / "bootstrap.py").read_bytes())
        if diff := _git(root, "diff", "--binary", "HEAD", "--", *PACKAGES):
            _add(packed, "uncommitted.diff", diff.encode(errors="surrogateescape"))
        packed.comment = code_version(root).encode()
    unfinished = path.with_name(f".{ARCHIVE}.tmp")
    unfinished.write_bytes(content.getvalue())
    unfinished.replace(path)
    return path


def _add(packed: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    packed.writestr(entry, data)


def _files(root: Path) -> list[str]:
    listed = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *PACKAGES)
    if listed:
        return sorted(name for name in set(listed.split("\0")) if name and (root / name).is_file())
    found = (path for package in PACKAGES for path in (root / package).rglob("*") if path.is_file())
    return sorted(str(path.relative_to(root)) for path in found if path.suffix != ".pyc")


def _changes(root: Path) -> list[str]:
    return [line[3:] for line in _git(root, "status", "--porcelain", "--", *PACKAGES).splitlines()]


def _git(root: Path, *arguments: str) -> str:
    if shutil.which("git") is None:
        return ""
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, errors="surrogateescape", timeout=60)
    return done.stdout if done.returncode == 0 else ""
