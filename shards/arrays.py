"""Arrays that somebody else made: .npy, .npz, .pt and .h5, from which numbers are read and nothing is run.

A pickle can run any code when it is read, so none is: not as a file, nor inside of one of these. What a file says of
the size of an array is looked at before any of it is read: a few compressed bytes may stand for more than the memory.
"""

from __future__ import annotations

import io
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dual_hpc.errors import UserError, one_line
from dual_hpc.files.regular_file import LARGE, open_regular, read_bytes

SUFFIXES = (".npy", ".npz", ".pt", ".pth", ".h5", ".hdf5")
_PICKLES = (".pkl", ".pickle", ".p", ".joblib")
_KEPT = 4  # files that are held open, as all utterances may lie in one
_MOST = LARGE // 4  # numbers of one array: two hours of 1,024 at 50 per second are 369 million
_NPY, _ZIP = b"\x93NUMPY", (b"PK\x03\x04", b"PK\x05\x06")
_PICKLED = "holds pickled objects, which may run any code; they are not read"

Lookup = Callable[[str | None, str], Any]


class ArrayFiles:
    """Reads arrays by `path` or `path#entry`, and keeps the last files open; use it in a `with`."""

    def __init__(self) -> None:
        self._open: OrderedDict[Path, tuple[Lookup, ExitStack]] = OrderedDict()

    def __enter__(self) -> ArrayFiles:
        return self

    def __exit__(self, *error: object) -> None:
        while self._open:
            self._open.popitem(last=False)[1][1].close()

    def read(self, path: Path, entry: str | None, key: str) -> NDArray[np.floating[Any]]:
        """An array of real numbers, of any shape, as float32 or float64.

        Args:
            entry: its name inside of the file; None: the only one, or that of the utterance.
            key: the utterance's.

        Raises:
            UserError: no such file or entry, one that is not an array of numbers, a pickle, or more than may be read.
        """
        try:
            if path not in self._open:
                with ExitStack() as handles:
                    self._open[path] = _lookup(path, handles), handles.pop_all()
                if len(self._open) > _KEPT:
                    self._open.popitem(last=False)[1][1].close()
            self._open.move_to_end(path)
            array: NDArray[Any] = np.asarray(self._open[path][0](entry, key))
            if array.dtype.kind not in "fiu":
                raise UserError(f"{path}: holds {array.dtype}, not numbers")
            _check_size(path, array.size)
            wide = np.float64 if array.dtype == np.float64 or array.dtype.kind in "iu" else np.float32
            return array.astype(wide)
        except UserError:
            raise
        except OSError as error:
            raise UserError(f"{path}: {error.strerror or one_line(error)}") from error
        except Exception as error:  # of four libraries, at files that anybody may have written
            said = _PICKLED if "pickle" in str(error).lower() else one_line(error) or type(error).__name__
            raise UserError(f"{path}: {said}") from error


def _lookup(path: Path, handles: ExitStack) -> Lookup:
    """How an array of the file is found by its entry and the utterance's key; what stays open is put into `handles`."""
    suffix = path.suffix.lower()
    if suffix in _PICKLES:
        raise UserError(f"{path}: a pickle, which may run any code; save it with numpy.save or torch.save of tensors")
    if suffix not in SUFFIXES:
        raise UserError(f"{path}: is none of {', '.join(SUFFIXES)}")
    if suffix in (".pt", ".pth"):
        tree = _tensors(path)
        return lambda entry, key: _tensor(path, tree, entry, key)
    stream = handles.enter_context(open_regular(path))
    if suffix in (".h5", ".hdf5"):
        file = handles.enter_context(_h5(path, stream))
        return lambda entry, key: _dataset(path, file, entry, key)
    begins = stream.read(len(_NPY))
    stream.seek(0)
    if begins.startswith(b"\x80"):
        raise UserError(f"{path}: a pickle under another name, which may run any code; it is not read")
    if begins.startswith(_ZIP):  # whatever it is called
        archive = handles.enter_context(np.load(stream, allow_pickle=False))
        return lambda entry, key: _inside(path, archive, entry, key)
    if begins != _NPY:
        raise UserError(f"{path}: is not what numpy.save or numpy.savez writes")
    array = np.load(io.BytesIO(read_bytes(path, LARGE)), allow_pickle=False)
    return lambda entry, key: _only(path, array, entry)


def _only(path: Path, array: Any, entry: str | None) -> Any:
    if entry is not None:
        raise UserError(f"{path}: holds one array, without names; leave out #{entry}")
    return array


def _inside(path: Path, archive: Any, entry: str | None, key: str) -> Any:
    """An array of an .npz, of which no more is inflated than an array may have."""
    name = _entry(path, archive.files, entry, key)
    names = {one.filename.removesuffix(".npy"): one for one in archive.zip.infolist()}
    if names[name.removesuffix(".npy")].file_size > LARGE:
        raise UserError(f"{path}: {name} is larger than an array of one utterance can be")
    return archive[name]


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

    data = read_bytes(path, LARGE)
    if data.startswith(_ZIP):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(one.file_size for one in archive.infolist()) > LARGE:
                raise UserError(f"{path}: holds more than a file of arrays can")
    try:
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever its own reader makes of a file that is no plain one
        raise UserError(f"{path}: holds more than tensors, and might run any code; it is not read") from error


def _tensor(path: Path, tree: Any, entry: str | None, key: str) -> Any:
    import torch

    if isinstance(tree, dict):
        tree = tree[_entry(path, [name for name in tree if isinstance(name, str)], entry, key)]
    elif entry is not None:
        raise UserError(f"{path}: holds one tensor, without names; leave out #{entry}")
    if not isinstance(tree, torch.Tensor) or tree.layout is not torch.strided or tree.is_quantized or tree.is_nested:
        raise UserError(f"{path}: holds {type(tree).__name__}, not a dense tensor")
    if tree.is_meta or tree.is_complex() or tree.dtype == torch.bool:
        raise UserError(f"{path}: holds {'no numbers' if tree.is_meta else f'{tree.dtype}, not numbers'}")
    _check_size(path, tree.numel())  # of which all may be the same place in memory
    return tree.detach().to(torch.float64 if tree.dtype == torch.float64 else torch.float32).numpy()


def _h5(path: Path, stream: Any) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise UserError(f"{path}: needs h5py; run `pip install 'dual-hpc[h5]'`") from error
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
    if found.dtype.kind not in "fiu" or found.size is None:
        raise UserError(f"{path}: {'/'.join(parts)} holds {found.dtype}, not numbers")
    _check_size(path, found.size)
    return found[()]


def _check_size(path: Path, numbers: int) -> None:
    if numbers > _MOST:
        raise UserError(f"{path}: an array of {numbers:,} numbers is larger than one utterance can be")
