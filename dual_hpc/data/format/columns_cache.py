"""The columns of a folder: its own, or those that this user's processes keep, or made of the index.

`write_index` leaves the columns of a large index beside it. Where they are missing or do not belong to it (an older
folder, an index that was edited), the first process that needs them makes them, once for all ranks of the node, and
keeps them in a cache of the user's; whoever reads a folder writes nothing into it. A file is believed only if it names
the sha256 of the index as it is now (`columns_file.py`), so that one may be removed, or be written twice, at any time.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from dual_hpc.data.format.columns import Columns
from dual_hpc.data.format.columns_file import COLUMNS_NAME, LEAST_INDEX, read_columns, write_columns
from dual_hpc.data.format.index import INDEX_NAME, read_index
from dual_hpc.data.format.index_stream import columns_of_index, sha256_of_index
from dual_hpc.errors import EnvironmentFault
from dual_hpc.files.locks import LockTimeout, file_lock
from dual_hpc.files.ownership import risk
from dual_hpc.heartbeat import relay

log = logging.getLogger(__name__)

_PATIENCE = 1800.0  # seconds that a rank waits for another to make the columns, before it makes its own
_UNUSED = 60 * 86400.0  # seconds after which a file of the cache is removed


def open_columns(folder: Path, setting: str = "data.shards", least: int = LEAST_INDEX) -> Columns:
    """What the index of a folder says of its samples.

    Args:
        setting: what the user named the folder by.
        least: bytes of an index from which on its columns are kept.

    Raises:
        As `read_index`.
    """
    path = folder / INDEX_NAME
    try:
        is_large = path.stat().st_size >= least
    except (OSError, ValueError):
        is_large = False
    if not is_large:
        return Columns.of(read_index(folder, setting=setting))
    try:
        return _found([folder / COLUMNS_NAME], folder) or _kept(folder, setting)
    except OSError as error:
        raise EnvironmentFault(f"{setting}: cannot read {path}: {error.strerror}") from error


def _found(places: Iterable[Path], folder: Path) -> Columns | None:
    """The columns of the index, of the first of these files that holds them."""
    there = [path for path in places if path.exists()]
    if not there:
        return None
    digest = sha256_of_index(folder)
    for path in there:
        with suppress(OSError):
            if (columns := read_columns(path, digest)) is not None:
                return columns
    return None


def _kept(folder: Path, setting: str) -> Columns:
    """The columns that the cache has, or has now."""
    name = hashlib.sha256(os.path.realpath(folder).encode(errors="surrogateescape")).hexdigest()[:32]
    places = [cache / f"{name}.columns" for cache in _caches()]
    for _ in range(2):
        if (columns := _found(places, folder)) is not None:
            _mark_used(places)
            return columns
        with _one_at_a_time(places[0].with_suffix(".lock") if places else None) as has_waited:
            if not has_waited:
                return _made(folder, places, setting)
    return columns_of_index(folder, setting)[0]


def _made(folder: Path, places: Iterable[Path], setting: str) -> Columns:
    """The columns of the index, written to the first of these files that can be."""
    log.info("reading %s once for all processes of this user", folder / INDEX_NAME)
    columns, digest = columns_of_index(folder, setting)
    if (path := _written(columns, digest, places)) is None:
        return columns
    del columns  # before the file is mapped: not twice in memory
    return read_columns(path, digest) or columns_of_index(folder, setting)[0]


def _written(columns: Columns, digest: str, places: Iterable[Path]) -> Path | None:
    """The first of these files that can be written, and now is."""
    for path in places:
        try:
            _remove_unused(path.parent)
            write_columns(path, columns, digest)
            return path
        except OSError as error:
            log.warning("%s cannot be written: %s", path, error.strerror)
    return None


def _caches() -> Iterator[Path]:
    """Folders of this user alone, the most lasting first."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    with suppress(OSError):
        for place in (Path(home, "dual-hpc"), Path(tempfile.gettempdir(), f"dual-hpc-{os.geteuid()}")):
            with suppress(OSError):
                if place.is_absolute():
                    place.mkdir(mode=0o700, parents=True, exist_ok=True)
                    if risk(place) is None and os.access(place, os.W_OK | os.X_OK):
                        yield place


@contextmanager
def _one_at_a_time(lock: Path | None) -> Iterator[bool]:
    """Hold the lock, where there is one; True if another process of this user had it, and was waited for."""
    deadline, has_waited = time.monotonic() + _PATIENCE, False
    with ExitStack() as stack:
        while lock is not None and time.monotonic() < deadline:
            try:
                stack.enter_context(file_lock(lock, 1.0 if has_waited else 0.0, required=False))
                break
            except LockTimeout:
                has_waited = True
                relay()
        yield has_waited


def _mark_used(paths: Iterable[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            os.utime(path)


def _remove_unused(cache: Path) -> None:
    """Forget folders that nobody has read for long."""
    for path in cache.glob("*.columns"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _UNUSED:
                path.unlink()
