"""The code that a run was submitted with: one archive in its directory, which its jobs run however long they wait."""

from __future__ import annotations

import importlib.metadata
import io
import zipfile
from collections.abc import Iterable
from pathlib import Path

from dual_hpc.errors import UserError
from dual_hpc.files.disk_error import naming
from dual_hpc.files.ownership import keep_others_out
from dual_hpc.files.regular_file import read_bytes
from dual_hpc.files.source_files import git, is_hidden, is_secret, source_files
from dual_hpc.plugins import OWN as PACKAGES
from dual_hpc.plugins import plugin_sources
from dual_hpc.run.names import CODE_ARCHIVE, PREVIOUS_CODE

ROOT = Path(__file__).resolve().parents[2]
LARGEST = 16 << 20  # bytes of one file; what is larger is data, and every run would carry it
_EPOCH = (1980, 1, 1, 0, 0, 0)  # no file times: the same code is the same archive


def code_version(root: Path = ROOT) -> str:
    """The commit of the tree at `root`, with "+dirty" if it has changes; the release of an installed package."""
    if not is_checkout(root):
        try:
            return importlib.metadata.version("dual_hpc") if root == ROOT else "unknown"
        except importlib.metadata.PackageNotFoundError:
            return "unknown"
    commit = git(root, "rev-parse", "HEAD").strip()
    if not commit:
        return "unknown"
    return f"{commit}+dirty" if _changes(root) else commit


def is_checkout(root: Path = ROOT) -> bool:
    """True if git tracks the packages; a virtual environment inside some other repository is not a checkout."""
    return bool(git(root, "ls-files", "--", *PACKAGES))


def refuse_changes(root: Path = ROOT) -> None:
    """For `--clean`: only committed code may be submitted.

    Raises:
        UserError: a file of the packages is changed or new, or git does not know them.
    """
    if not is_checkout(root):
        raise UserError(f"--clean: {root} is not a git checkout (or git fails there); leave out --clean")
    changed = _changes(root)
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise UserError(f"--clean: uncommitted changes: {changed[0]}{more}; commit them, or leave out --clean")


def write_archive(run: Path, root: Path = ROOT, plugins: Iterable[str] = (), replace: bool = False) -> Path:
    """Pack the packages as they are, uncommitted changes and new sources included; an existing archive is kept.

    The archive's comment is its version, and `uncommitted.diff` in it what differs from that commit.

    Args:
        plugins: modules whose source goes with it; see `dual_hpc.plugins`.
        replace: use the current code instead of an existing archive; see `keep_previous`.

    Raises:
        UserError: see `code_files` and `plugin_files`.
    """
    path = run / CODE_ARCHIVE
    if path.exists() and not replace:
        return path
    names, foreign = code_files(root), plugin_files(plugins)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in names:
            _add(packed, name, read_bytes(root / name))
        for name in sorted(foreign.keys() - set(names)):
            _add(packed, name, read_bytes(foreign[name]))
        _add(packed, "__main__.py", (root / "launch" / "bootstrap.py").read_bytes())
        if diff := uncommitted(root):
            _add(packed, "uncommitted.diff", diff.encode(errors="surrogateescape"))
        packed.comment = code_version(root).encode()
    unfinished = path.with_name(f".{CODE_ARCHIVE}.tmp")
    with naming(path):
        unfinished.write_bytes(content.getvalue())
    keep_others_out(unfinished)
    keep_previous(path, content.getvalue())
    unfinished.replace(path)
    return path


def keep_previous(path: Path, new: bytes) -> None:
    """Keep an archive that `new` replaces as `code.previous.zip`, unless both are equal.

    The current code may refuse to continue the run (another order of samples, say); a user then puts the old one back.
    """
    if path.exists() and read_bytes(path) != new:
        path.replace(path.with_name(PREVIOUS_CODE))


def code_files(root: Path = ROOT) -> list[str]:
    """What the archive holds; see `dual_hpc.files.source_files`. A link to a file of the tree becomes that file.

    Raises:
        UserError: a file is too large to be code, a link leads nowhere, to a folder or out of the tree, or a submodule
            is in the way.
    """
    kept = source_files(root, PACKAGES)
    for name in kept:
        _check_size(root / name, "(or into .gitignore)")
    return kept


def uncommitted(root: Path) -> str:
    """The changes of tracked files as a patch, without those that an archive would not hold."""
    changed = git(root, "diff", "--name-only", "-z", "HEAD", "--", *PACKAGES).split("\0")
    shown = [name for name in changed if name and not is_hidden(name) and (name.endswith(".py") or not is_secret(name))]
    return git(root, "--literal-pathspecs", "diff", "--binary", "--no-ext-diff", "HEAD", "--", *shown) if shown else ""


def plugin_files(plugins: Iterable[str]) -> dict[str, Path]:
    """The sources of these plugins by their paths in the archive.

    Raises:
        UserError: one is not there, or holds a file that is too large to be code.
    """
    found: dict[str, Path] = {}
    for plugin in plugins:
        found |= plugin_sources(plugin)
    for path in found.values():
        _check_size(path, "than in the package of a plugin")
    return found


def _check_size(path: Path, advice: str) -> None:
    if (size := path.stat().st_size) > LARGEST:
        raise UserError(
            f"{path} has {size >> 20} MB; every run takes a copy of the code, so files above {LARGEST >> 20} MB belong "
            f"elsewhere {advice}"
        )


def _add(packed: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    packed.writestr(entry, data)


def _changes(root: Path) -> list[str]:
    return [line[3:] for line in git(root, "status", "--porcelain", "--", *PACKAGES).splitlines()]
