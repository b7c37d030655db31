"""Arrays that somebody else made: .npy, .npz, .pt and .h5, from which numbers are read and nothing is run.

A pickle can run any code when it is read, so none is: not as a file, nor inside of one of these.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dual_hpc.errors import UserError, one_line
from dual_hpc.files.regular_file import LARGE, check_regular, open_regular, read_bytes

SUFFIXES = (".npy", ".npz", ".pt", ".pth", ".h5", ".hdf5")
_PICKLES = (".pkl", ".pickle", ".p", ".joblib")
_KEPT = 4  # files that are held open, as all utterances may lie in one


class ArrayFiles:
    """Reads arrays by `path` or `path#entry`, and keeps the last files open; use it in a `with`."""

    def __init__(self) -> None:
        self._open: OrderedDict[Path, Callable[[str | None, str], Any]] = OrderedDict()
        self._handles: dict[Path, Any] = {}

    def __enter__(self) -> ArrayFiles:
        return self

    def __exit__(self, *error: object) -> None:
        while self._open:
            self._close(next(iter(self._open)))

    def read(self, path: Path, entry: str | None, key: str) -> NDArray[np.floating[Any]]:
        """An array of real numbers, of any shape, as float32 or float64.

        Args:
            entry: its name inside of the file; None: the only one, or that of the utterance.
            key: the utterance's.

        Raises:
            UserError: no such file or entry, one that is not an array of numbers, or a pickle.
        """
        if path not in self._open:
            self._open[path] = self._reader(path)
            if len(self._open) > _KEPT:
                self._close(next(iter(self._open)))
        self._open.move_to_end(path)
        try:
            found = self._open[path](entry, key)
            array: NDArray[Any] = np.asarray(found)
        except UserError:
            raise
        except Exception as error:  # of four libraries, at files that anybody may have written
            raise UserError(f"{path}: {one_line(error)}") from error
        if array.dtype.kind not in "fiu":
            raise UserError(f"{path}: holds {array.dtype}, not numbers")
        wide = np.float64 if array.dtype == np.float64 or array.dtype.kind in "iu" else np.float32
        return array.astype(wide)

    def _close(self, path: Path) -> None:
        del self._open[path]
        if (handle := self._handles.pop(path, None)) is not None:
            handle.close()

    def _reader(self, path: Path) -> Callable[[str | None, str], Any]:
        suffix = path.suffix.lower()
        if suffix in _PICKLES:
            raise UserError(
                f"{path}: a pickle, which may run any code; save it with numpy.save or torch.save of tensors"
            )
        if suffix not in SUFFIXES:
            raise UserError(f"{path}: is none of {', '.join(SUFFIXES)}")
        try:
            with open_regular(path) as file:
                if file.read(1) == b"\x80" and suffix in (".npy", ".npz"):
                    raise UserError(f"{path}: a pickle under another name, which may run any code; it is not read")
            if suffix == ".npy":
                array = np.load(io.BytesIO(read_bytes(path, LARGE)), allow_pickle=False)
                return lambda entry, key: _only(path, array, entry)
            if suffix == ".npz":
                self._handles[path] = archive = np.load(open_regular(path), allow_pickle=False)
                return lambda entry, key: archive[_entry(path, archive.files, entry, key)]
            if suffix in (".pt", ".pth"):
                tree = _tensors(path)
                return lambda entry, key: _tensor(path, tree, entry, key)
            self._handles[path] = file = _h5(path)
            return lambda entry, key: _dataset(path, file, entry, key)
        except OSError as error:
            raise UserError(f"{path}: {error.strerror or one_line(error)}") from error
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            said = "holds pickled objects, which may run any code; they are not read"
            raise UserError(f"{path}: {said if 'pickle' in str(error) else one_line(error)}") from error


def _only(path: Path, array: Any, entry: str | None) -> Any:
    if entry is not None or not isinstance(array, np.ndarray):
        raise UserError(f"{path}: holds one array, without names; leave out #{entry}")
    return array


def _entry(path: Path, names: list[str], entry: str | None, key: str) -> str:
    """The name of the entry that is meant."""
    if entry is None and len(names) == 1:
        return names[0]
    wanted = key if entry is None else entry
    if wanted not in names:
        raise UserError(f"{path}: has no entry {wanted!r} among {len(names)} ({', '.join(names[:3])} ...)")
    return wanted


def _tensors(path: Path) -> Any:
    import torch

    try:
        return torch.load(io.BytesIO(read_bytes(path, LARGE)), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError) as error:
        raise UserError(f"{path}: holds more than tensors, and might run any code; it is not read") from error


def _tensor(path: Path, tree: Any, entry: str | None, key: str) -> Any:
    import torch

    if isinstance(tree, dict):
        tree = tree[_entry(path, [name for name in tree if isinstance(name, str)], entry, key)]
    elif entry is not None:
        raise UserError(f"{path}: holds one tensor, without names; leave out #{entry}")
    if not isinstance(tree, torch.Tensor) or tree.is_sparse or tree.is_quantized:
        raise UserError(f"{path}: holds {type(tree).__name__}, not a dense tensor")
    return tree.detach().to(torch.float64 if tree.dtype == torch.float64 else torch.float32).numpy()


def _h5(path: Path) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise UserError(f"{path}: needs h5py; run `pip install 'dual-hpc[h5]'`") from error
    stream = open_regular(path)
    check_regular(stream.fileno(), path)
    return h5py.File(stream, "r")


def _dataset(path: Path, file: Any, entry: str | None, key: str) -> Any:
    import h5py

    def hard(group: Any, name: str) -> bool:  # a link may lead to any file of this machine
        return isinstance(group.get(name, getlink=True), h5py.HardLink)

    names = list(file)
    parts = (entry if entry is not None else _entry(path, names, None, key)).strip("/").split("/")
    found: Any = file
    for part in parts:
        if not isinstance(found, h5py.Group) or part not in found:
            raise UserError(f"{path}: has no entry {'/'.join(parts)!r} among {len(names)} ({', '.join(names[:3])} ...)")
        if not hard(found, part):
            raise UserError(f"{path}: {'/'.join(parts)} is a link to another place, which is not followed")
        found = found[part]
    if not isinstance(found, h5py.Dataset) or found.is_virtual or found.external:
        raise UserError(f"{path}: {'/'.join(parts)} is not an array stored in this file")
    return found[()]
