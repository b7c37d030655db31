"""What is read of arrays that anybody may have written, and what is refused, in one line that names the file."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dual_hpc.errors import UserError
from shards import arrays
from shards.arrays import ArrayFiles

VALUES = np.arange(12, dtype=np.float32).reshape(3, 4)


def read(path: Path, entry: str | None = None, key: str = "u") -> Any:
    with ArrayFiles() as files:
        return files.read(path, entry, key)


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["<f2", ">f4", "<f8", "|i1", "<u2", ">i8", "<f4 fortran"])
def test_every_kind_of_real_number_is_read(kind: str, tmp_path: Path) -> None:
    name, _, order = kind.partition(" ")
    array = VALUES.astype(name)
    np.save(tmp_path / "a.npy", np.asfortranarray(array) if order else array)
    np.savez_compressed(tmp_path / "a.npz", x=array)
    for file in ("a.npy", "a.npz"):
        found = read(tmp_path / file)
        assert found.dtype in (np.float32, np.float64) and np.array_equal(found, VALUES)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int32, torch.uint8])
def test_every_kind_of_real_tensor_is_read(dtype: torch.dtype, tmp_path: Path) -> None:
    torch.save({"u": torch.nn.Parameter(torch.from_numpy(VALUES).to(dtype), requires_grad=False)}, tmp_path / "a.pt")
    assert np.array_equal(read(tmp_path / "a.pt"), VALUES)
    torch.save(torch.from_numpy(VALUES).to(dtype), tmp_path / "b.pth", _use_new_zipfile_serialization=False)
    assert np.array_equal(read(tmp_path / "b.pth"), VALUES)


def test_what_numpy_wrote_is_read_under_the_name_of_the_other(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", u=VALUES)
    np.save(tmp_path / "b.npy", VALUES)
    (tmp_path / "a.npz").rename(tmp_path / "c.npy")
    (tmp_path / "b.npy").rename(tmp_path / "d.npz")
    assert np.array_equal(read(tmp_path / "c.npy", "u"), VALUES) and np.array_equal(read(tmp_path / "d.npz"), VALUES)


class Harmful:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def claims(shape: str, content: bytes = b"") -> bytes:
    """An .npy whose header says that there is more than follows."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content


def zipped(path: Path, **members: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)


def stretched(path: Path) -> None:
    torch.save(torch.zeros(1).expand(1 << 16, 1 << 16), path)


FILES: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "a pickle": ("x.npy", lambda p: p.write_bytes(pickle.dumps(VALUES)), "a pickle under another name"),
    "an old pickle": ("x.npy", lambda p: p.write_bytes(pickle.dumps([1], 0)), "is not what numpy.save"),
    "a pickle by its name": ("x.pkl", lambda p: p.write_bytes(b""), "a pickle, which may run any code"),
    "objects": ("x.npy", lambda p: np.save(p, np.array([{}], object), allow_pickle=True), "holds pickled objects"),
    "objects in a zip": ("x.npz", lambda p: np.savez(p, u=np.array([{}], object)), "holds pickled objects"),
    "code in a tensor file": ("x.pt", lambda p: torch.save({"u": Harmful(p.parent / "ran")}, p), "holds more than"),
    "a module": ("x.pt", lambda p: torch.save(torch.nn.Linear(2, 2), p), "holds more than tensors"),
    "another tensor": ("x.pt", lambda p: torch.save({"other": torch.zeros(2), "more": 1}, p), "has no entry 'u' among"),
    "a list": ("x.pt", lambda p: torch.save([torch.zeros(2)], p), "holds list, not a dense tensor"),
    "complex": ("x.pt", lambda p: torch.save(torch.zeros(2, 2, dtype=torch.complex64), p), "not numbers"),
    "booleans": ("x.pt", lambda p: torch.save(torch.zeros(2, 2, dtype=torch.bool), p), "not numbers"),
    "sparse": ("x.pt", lambda p: torch.save(torch.eye(3).to_sparse(), p), "not a dense tensor"),
    "sparse rows": ("x.pt", lambda p: torch.save(torch.eye(3).to_sparse_csr(), p), "not a dense tensor"),
    "without numbers": ("x.pt", lambda p: torch.save(torch.empty(3, 3, device="meta"), p), "no numbers"),
    "one number as many": ("x.pt", stretched, "4,294,967,296 numbers is larger than one utterance"),
    "no tensor file": ("x.pt", lambda p: p.write_bytes(b"PK\x03\x04" + b"\0" * 50), "x.pt"),
    "text": ("x.npy", lambda p: p.write_text("1 2 3"), "is not what numpy.save or numpy.savez writes"),
    "empty": ("x.npy", lambda p: p.write_bytes(b""), "is not what numpy.save or numpy.savez writes"),
    "words": ("x.npy", lambda p: np.save(p, np.array(["a", "b"])), "holds <U1, not numbers"),
    "imaginary": ("x.npy", lambda p: np.save(p, np.zeros((2, 2), complex)), "holds complex128, not numbers"),
    "records": ("x.npy", lambda p: np.save(p, np.zeros(2, [("a", "f4")])), "not numbers"),
    "dates": ("x.npy", lambda p: np.save(p, np.zeros(2, "M8[s]")), "not numbers"),
    "cut off": ("x.npy", lambda p: p.write_bytes(npy(VALUES)[:-5]), "x.npy"),
    "less than it says": ("x.npy", lambda p: p.write_bytes(claims("(1000000000000, 768)")), "x.npy"),
    "less than it says, zipped": ("x.npz", lambda p: zipped(p, u=claims("(99999999999, 7)")), "x.npz"),
    "no shape": ("x.npy", lambda p: p.write_bytes(claims("'__import__(\"os\")'")), "x.npy"),
    "a broken zip": ("x.npz", lambda p: p.write_bytes(b"PK\x03\x04" + b"\0" * 50), "x.npz"),
    "no array in a zip": ("x.npz", lambda p: zipped(p, u=b"hello"), "not numbers"),
    "an empty zip": ("x.npz", lambda p: zipped(p), "has no entry 'u' among 0"),
    "other entries": ("x.npz", lambda p: np.savez(p, a=VALUES, b=VALUES), "has no entry 'u' among 2"),
    "a folder": ("x.npy", lambda p: p.mkdir(), "Is a directory"),
    "a pipe": ("x.npz", lambda p: os.mkfifo(p), "is a named pipe, not a file"),
    "nothing": ("x.h5", lambda p: None, "No such file"),
    "another kind": ("x.csv", lambda p: p.write_text("1,2"), "is none of .npy"),
    "no name": ("x\0.npy", lambda p: None, "no file can have this name"),
}


@pytest.mark.parametrize("name", list(FILES))
def test_what_holds_no_array_of_numbers_is_refused_by_its_name(name: str, tmp_path: Path) -> None:
    file, write, said = FILES[name]
    write(tmp_path / file)
    with pytest.raises(UserError) as caught:
        read(tmp_path / file)
    line = str(caught.value)
    assert said in line and "\n" not in line and "allow_pickle" not in line, line
    assert not (tmp_path / "ran").exists()


def test_a_few_compressed_bytes_do_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "LARGE", 1 << 20)
    zipped(tmp_path / "x.npz", u=npy(np.zeros((1 << 20, 1), np.float32)))
    assert (tmp_path / "x.npz").stat().st_size < 1 << 13
    with pytest.raises(UserError, match="u is larger than an array of one utterance can be"):
        read(tmp_path / "x.npz")
    torch.save(torch.zeros(1 << 19), tmp_path / "x.pt")
    with zipfile.ZipFile(tmp_path / "x.pt") as plain, zipfile.ZipFile(tmp_path / "y.pt", "w", 8) as squeezed:
        for one in plain.infolist():
            squeezed.writestr(one.filename, plain.read(one))
    with pytest.raises(UserError, match="holds more than a file of arrays can"):
        read(tmp_path / "y.pt")


def test_more_files_than_are_held_open_are_read_in_turn(tmp_path: Path) -> None:
    for number in range(7):
        np.savez(tmp_path / f"{number}.npz", u=VALUES + number, v=VALUES)
    with ArrayFiles() as files:
        for number in [*range(7), *range(7)]:
            assert np.array_equal(files.read(tmp_path / f"{number}.npz", "u", "any"), VALUES + number)
    assert not [fd for fd in os.listdir("/proc/self/fd") if tmp_path.name in os.path.realpath(f"/proc/self/fd/{fd}")]


class TestHdf5:
    """Arrays of .h5 files; h5py is an extra."""

    def write(self, path: Path) -> Any:
        h5py = pytest.importorskip("h5py")
        return h5py.File(path, "w")

    def test_an_array_is_found_by_its_path(self, tmp_path: Path) -> None:
        with self.write(tmp_path / "x.h5") as file:
            file["all/u"] = VALUES.astype(">f8")
            file.create_dataset("u", data=VALUES.astype("f2"), compression="gzip", chunks=(1, 4))
        assert np.array_equal(read(tmp_path / "x.h5", "all/u"), VALUES)
        assert np.array_equal(read(tmp_path / "x.h5", "/u/"), VALUES)
        assert np.array_equal(read(tmp_path / "x.h5"), VALUES)

    @pytest.mark.parametrize(
        ("entry", "said"),
        [
            ("outside", "is a link to another place, which is not followed"),
            ("soft", "is a link to another place, which is not followed"),
            ("stored", "is not an array stored in this file"),
            ("virtual", "is not an array stored in this file"),
            ("group", "is not an array stored in this file"),
            ("words", "not numbers"),
            ("lists", "not numbers"),
            ("references", "not numbers"),
            ("nothing", "not numbers"),
            ("huge", "numbers is larger than one utterance can be"),
            ("../x", "has no entry '../x' among"),
            ("group/none", "has no entry 'group/none' among"),
            ("", "has no entry"),
        ],
    )
    def test_what_lies_elsewhere_or_is_none_is_refused(self, entry: str, said: str, tmp_path: Path) -> None:
        h5py = pytest.importorskip("h5py")
        (tmp_path / "secret").write_bytes(b"secret" * 4)
        with self.write(tmp_path / "other.h5") as other:
            other["u"] = VALUES
        with self.write(tmp_path / "x.h5") as file:
            file["outside"] = h5py.ExternalLink("other.h5", "u")
            file["soft"] = h5py.SoftLink("/group/u")
            file["group/u"] = VALUES
            file.create_dataset("stored", (24,), "u1", external=[(str(tmp_path / "secret"), 0, 24)])
            layout = h5py.VirtualLayout((3, 4), "f4")
            layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "u", (3, 4))
            file.create_virtual_dataset("virtual", layout)
            file["words"] = ["a", "b"]
            file.create_dataset("lists", (2,), h5py.vlen_dtype("f4"))
            file.create_dataset("references", (2,), h5py.ref_dtype)
            file["nothing"] = h5py.Empty("f4")
            file.create_dataset("huge", (1 << 20, 1 << 20), "f4", chunks=(1, 1024), compression="gzip")
        with pytest.raises(UserError) as caught:
            read(tmp_path / "x.h5", entry or "/")
        assert said in str(caught.value)

    def test_what_is_no_such_file_is_refused(self, tmp_path: Path) -> None:
        pytest.importorskip("h5py")
        (tmp_path / "x.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + b"\xff" * 200)
        with pytest.raises(UserError, match=r"x\.h5"):
            read(tmp_path / "x.h5")
