"""Plugins: a researcher's own modules, which register models, encoders, corpora, metrics ... when they are imported.

A configuration names them (`plugins: [mylab.emotion]`), or `--plugin mylab.emotion`. They are found like any module,
and in the working directory. A submitted run carries their source in its code archive: the files of the module or
package, and those that they import of the folder that it lies in.
"""

from __future__ import annotations

import ast
import atexit
import hashlib
import importlib
import importlib.util
import io
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from dual_hpc.errors import UserError, one_line
from dual_hpc.files.ownership import require_own
from dual_hpc.files.regular_file import SMALL, read_bytes
from dual_hpc.files.source_files import check_is_inside, is_leftover, is_secret
from dual_hpc.registry import during_plugin

OWN = ("dual_hpc", "launch", "shards", "slurm")  # packages of the project, which a code archive holds as well


def load_plugins(names: Iterable[str], archive: Path | None = None, trust: bool = False) -> None:
    """Import these modules; those that are imported already are left as they are.

    Args:
        archive: the code archive of a run. A plugin that is not found elsewhere (any more) is taken from it.
        trust: also from an archive that others own or may write.

    Raises:
        UserError: a module is missing, or fails when it is imported, or is only in an archive of others.
    """
    names = list(names)
    find_plugins(names, archive, trust)
    for name in names:
        try:
            with during_plugin(name):
                importlib.import_module(name)
        except UserError as error:
            raise UserError(f"plugins: {name}: {error}") from error
        except ModuleNotFoundError as error:
            if error.name and (name == error.name or name.startswith(f"{error.name}.")):
                raise _missing(name) from error
            raise UserError(f"plugins: {name} cannot be imported: {error}") from error
        except (Exception, SystemExit) as error:
            raise UserError(f"plugins: {name} cannot be imported: {type(error).__name__}: {one_line(error)}") from error


def find_plugins(names: Iterable[str], archive: Path | None = None, trust: bool = False) -> None:
    """Put these modules on Python's path: the working directory, else what the code archive of a run holds.

    Raises:
        UserError: they are only in an archive of others; see `load_plugins`.
    """
    _see_working_directory()
    for name in names:
        if archive is not None and archive.is_file() and not _is_found(name):
            require_own(archive.parent, [archive.name], trust)
            _unpack(archive)


def plugin_sources(name: str) -> dict[str, Path]:
    """Files of a plugin by their paths in a code archive, from which `import NAME` works as it does here.

    A module is its file, a package everything in its folder but hidden files and keys; with them go the `__init__.py`
    of the packages around it and the modules of the same folder that they import, directly or not. Nothing is imported.

    Raises:
        UserError: there is no such module, it is not made of files, or one is a link out of its package.
    """
    _see_working_directory()
    roots = _roots(name)
    found = dict(_files(name, roots))
    if not found:
        raise _missing(name)
    waiting = list(found)
    while waiting:
        place = waiting.pop()
        for needed in _imports(place, found[place]) if place.endswith(".py") else ():
            if needed.split(".")[0] != name.split(".")[0] and _is_installed(found[place]):
                continue  # another installed distribution, which the job's environment has as well
            fresh = {other: path for other, path in _module_files(needed, roots) if other not in found}
            found |= fresh
            waiting += fresh
    return dict(sorted(found.items()))


def plugin_hashes(names: Iterable[str]) -> dict[str, str]:
    """sha256 over the paths and contents of each plugin's sources.

    Raises:
        UserError: see `plugin_sources`.
    """
    hashes = {}
    for name in names:
        digest = hashlib.sha256()
        for place, path in plugin_sources(name).items():
            content = read_bytes(path)
            digest.update(f"{place}\0{len(content)}\0".encode() + content)
        hashes[name] = digest.hexdigest()
    return hashes


def copy_sources(names: Iterable[str], folder: Path) -> list[Path]:
    """Write the sources of these plugins below `folder`, from which they can be imported; returns what is in it then.

    Raises:
        UserError: see `plugin_sources`.
    """
    for name in names:
        for place, path in plugin_sources(name).items():
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / place)
    return sorted(folder.iterdir())


def _missing(name: str) -> UserError:
    advice = "install it, set PYTHONPATH, or change into the folder that holds it"
    if "/" in name or name.endswith(".py"):
        advice = "write its dotted name, as in mylab.emotion"
    return UserError(f"plugins: there is no module {name!r} on Python's path or in {os.getcwd()}: {advice}")


def _see_working_directory() -> None:
    """Look there last: nothing in it hides an installed module."""
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
        importlib.invalidate_caches()


def _is_found(name: str) -> bool:
    try:
        return name in sys.modules or bool(_files(name, _roots(name)))
    except UserError:
        return False


def _roots(name: str) -> list[Path]:
    """The folders in which the first package of a dotted name lies; of a namespace package there may be several."""
    top = name.split(".")[0]
    importlib.invalidate_caches()
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise _missing(name)
    if spec.submodule_search_locations:
        return [Path(place).parent for place in spec.submodule_search_locations]
    if spec.origin is None or not Path(spec.origin).is_file():
        raise UserError(f"plugins: {name} is not made of files, which a job's code needs; give a module or a package")
    return [Path(spec.origin).parent]


def _files(name: str, roots: Iterable[Path]) -> list[tuple[str, Path]]:
    """A module's file, or everything in a package's folder, with the `__init__.py` of the packages around it."""
    place = name.replace(".", "/")
    for root in roots:
        if (root / place).is_dir():
            inner = (path for path in sorted((root / place).rglob("*")) if path.is_file())
            files = [(path.relative_to(root).as_posix(), path) for path in inner if _is_taken(path, root / place)]
            return [*_around(name, root), *files] if any(path.suffix == ".py" for _, path in files) else []
        if (root / f"{place}.py").is_file():
            return [*_around(name, root), (f"{place}.py", root / f"{place}.py")]
    return []


def _module_files(name: str, roots: Iterable[Path]) -> list[tuple[str, Path]]:
    """The same of a module that is only imported: of a package its `__init__.py`, which says what else it needs."""
    place = name.replace(".", "/")
    for root in roots:
        for file in (f"{place}/__init__.py", f"{place}.py"):
            if (root / file).is_file():
                return [*_around(name, root), (file, root / file)]
    return []


def _around(name: str, root: Path) -> Iterator[tuple[str, Path]]:
    *packages, _ = name.split(".")
    for depth in range(1, len(packages) + 1):
        file = "/".join([*packages[:depth], "__init__.py"])
        if (root / file).is_file():
            yield file, root / file


def _is_taken(path: Path, package: Path) -> bool:
    """False for what is not part of a package: hidden files, keys, Python's leftovers.

    Raises:
        UserError: it is a link out of the package.
    """
    name = path.relative_to(package).as_posix()
    if is_leftover(name) or is_secret(name):
        return False
    check_is_inside(path, package)
    return True


def _is_installed(path: Path) -> bool:
    return bool({"site-packages", "dist-packages"} & set(path.parts))


def _imports(place: str, path: Path) -> Iterator[str]:
    """Dotted names that a file imports, anywhere in it; of `from a import b` both `a` and `a.b`."""
    try:
        tree = ast.parse(read_bytes(path))
    except (SyntaxError, ValueError):
        return  # importing it says what is wrong
    package = place.split("/")[:-1]
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            names = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        yield from (name for name in names if name.split(".")[0] not in OWN)


def _unpack(archive: Path) -> None:
    """Extract the plugins of an archive to a folder on Python's path; it is removed when this process ends.

    Raises:
        UserError: it is damaged, or its files would fill the disk.
    """
    folder = tempfile.mkdtemp(prefix="dual-hpc-plugins-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        with zipfile.ZipFile(io.BytesIO(read_bytes(archive))) as packed:
            if sum(entry.file_size for entry in packed.infolist()) > SMALL:
                raise UserError(f"plugins: {archive} holds more than {SMALL >> 20} MiB, which no code has")
            foreign = [name for name in packed.namelist() if "/" in name and name.split("/")[0] not in OWN]
            foreign += [name for name in packed.namelist() if name.endswith(".py") and "/" not in name]
            packed.extractall(folder, [name for name in foreign if name != "__main__.py"])
    except UserError:
        raise
    except Exception as error:  # zipfile and its decompressors have one for each way to be damaged
        raise UserError(f"plugins: {archive} is not a readable code archive ({one_line(error, 200)})") from error
    sys.path.append(folder)
    importlib.invalidate_caches()
