"""The archive's own __main__: before the work listens, a wish to stop waits."""

from __future__ import annotations

import contextlib
import os
import py_compile
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from launch import bootstrap
from launch.records.log_markers import UNFIT_NODE

# What a rank does: first it is deaf, then submitit installs handlers that must never run, then the work listens.
RANK = """
import os, signal
os.kill(os.getpid(), signal.SIGUSR2)
signal.signal(signal.SIGUSR2, lambda number, frame: os._exit(7))
from dual_hpc.training.stopping import stop_signals
with stop_signals() as flag:
    print(flag.reason)
"""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "code.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("__main__.py", Path(bootstrap.__file__).read_bytes())
    return path


def test_a_node_folder_is_made_where_there_is_a_place_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SLURM_TMPDIR", str(tmp_path / "gone"))
    monkeypatch.setenv("JOBSCRATCH", str(tmp_path / "file"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert next(bootstrap.node_folders()) == str(tmp_path / f"dual-hpc-{os.getuid()}")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "gone"))
    assert next(bootstrap.node_folders()).startswith(f"/tmp/dual-hpc-{os.getuid()}")
    assert not (tmp_path / "gone").exists()


def test_a_place_where_others_may_rename_things_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "open" / "below").mkdir(parents=True)
    for name in ("SLURM_TMPDIR", "JOBSCRATCH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "open" / "below"))
    for mode, is_used in ((0o777, False), (0o775, False), (0o1777, True)):
        (tmp_path / "open").chmod(mode)
        assert next(bootstrap.node_folders()).startswith(str(tmp_path)) == is_used


@pytest.mark.parametrize("taken", ["folder", "file", "link", "writable", "stranger"])
def test_a_taken_name_blocks_nobody(taken: str, archive: Path, tmp_path: Path) -> None:
    base = tmp_path / "node"
    base.mkdir()
    base.chmod(0o1777)
    predicted = base / f"dual-hpc-{os.getuid()}"
    if taken == "file":
        predicted.touch()
    elif taken == "link":
        (tmp_path / "elsewhere").mkdir()
        predicted.symlink_to(tmp_path / "elsewhere")
    else:
        predicted.mkdir()
        if taken == "writable":
            predicted.chmod(0o777)
        if taken == "stranger":
            if os.getuid() != 0:
                pytest.skip("only root can give a folder away")
            os.chown(predicted, 12_345, 12_345)
    names = set()
    for _ in range(2):
        said = run(archive, "print(__import__('sys').path[0])", base)
        names.add(Path(said).parent)
    if taken == "folder":
        assert names == {predicted}
        assert predicted.stat().st_mode & 0o777 == 0o700
        return
    (chosen,) = names  # another name, and the same again
    assert chosen.parent == base and chosen != predicted and chosen.stat().st_mode & 0o777 == 0o700
    assert not list((tmp_path / "elsewhere").iterdir()) if taken == "link" else True


def run(archive: Path, program: str, node: Path, **environment: str) -> str:
    given = {name: value for name, value in os.environ.items() if name not in ("SLURM_TMPDIR", "JOBSCRATCH")}
    given |= {"TMPDIR": str(node), "PYTHONPATH": "", **environment}
    done = subprocess.run([sys.executable, archive, "-c", program], capture_output=True, text=True, env=given, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def packed(archive: Path) -> Path:
    """An archive with an older `dual_hpc`, which lacks modules that the installed one has."""
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("dual_hpc/__init__.py", "WORD = 'archived'\n")
        file.writestr("dual_hpc/part/__init__.py", "")
        file.writestr("dual_hpc/part/inner.py", "WORD = 'inner'\n")
        file.writestr("dual_hpc/data.yaml", "a: 1\n")
    return archive


SHOW = "import dual_hpc, dual_hpc.part.inner as i; print(dual_hpc.WORD, i.WORD, dual_hpc.__path__[0])"


def _write(path: Path) -> None:
    path.write_text("WORD = 'poisond'\n")


def _same_size_and_time(path: Path) -> None:
    found = path.stat()
    path.write_text("WORD = 'poisoned'\n"[: found.st_size])
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def _link(path: Path) -> None:
    away = path.parents[2] / "away.py"
    path.rename(away)
    away.write_text("WORD = 'linked'\n")
    path.symlink_to(away)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path], None]] = {
    "written over": _write,
    "same size and time": _same_size_and_time,
    "cut": lambda path: os.truncate(path, 0),
    "removed": Path.unlink,
    "a link": _link,
    "a folder": _folder,
    "folder removed": lambda path: shutil.rmtree(path.parent),
    "package removed": lambda path: shutil.rmtree(path.parents[1]),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_unpacked_code_that_differs_from_the_archive_is_put_right(damage: str, packed: Path, tmp_path: Path) -> None:
    word, inner, place = run(packed, SHOW, tmp_path).split()
    DAMAGES[damage](Path(place) / "part" / "inner.py")
    assert run(packed, SHOW, tmp_path).split() == [word, inner, place] == ["archived", "inner", place]


def test_what_is_not_of_the_archive_is_not_on_the_path(packed: Path, tmp_path: Path) -> None:
    code = Path(run(packed, SHOW, tmp_path).split()[2]).parent
    (code / "json.py").write_text("1 / 0\n")
    (code / "dual_hpc" / "extra.py").write_text("")
    (code / "dual_hpc" / "linked").symlink_to(tmp_path)
    (code / "dual_hpc" / "part" / "inner").mkdir()  # a package would hide the module
    (code / "dual_hpc" / "part" / "inner" / "__init__.py").write_text("WORD = 'package'\n")
    caches = code / "dual_hpc" / "__pycache__"
    cached = caches / f"__init__.{sys.implementation.cache_tag}.pyc"
    poisoned = tmp_path / "poisoned.py"
    poisoned.write_text("WORD = 'poisoned'\n")
    source = (code / "dual_hpc" / "__init__.py").stat()
    os.utime(poisoned, ns=(source.st_atime_ns, source.st_mtime_ns))
    caches.mkdir(exist_ok=True)
    py_compile.compile(
        str(poisoned), cfile=str(cached), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )
    assert run(packed, SHOW, tmp_path).split()[:2] == ["archived", "inner"]
    assert not (code / "json.py").exists() and not (code / "dual_hpc" / "extra.py").exists()
    assert tmp_path.exists() and packed.exists()  # what a link led to is untouched


def test_an_installation_does_not_complete_the_archive(packed: Path, tmp_path: Path) -> None:
    """The finder of an editable installation answers for every module that the path has not got."""
    live = tmp_path / "live" / "dual_hpc"
    live.mkdir(parents=True)
    (live / "__init__.py").touch()
    (live / "later.py").write_text("WORD = 'live'\n")
    program = f"""
import sys
from importlib.machinery import PathFinder
class Editable:
    def find_spec(self, name, path=None, target=None):
        return PathFinder.find_spec(name, [{str(live)!r}]) if name.startswith("dual_hpc.") else None
sys.meta_path.append(Editable())
try:
    import dual_hpc.later
except ModuleNotFoundError as error:
    print(error.name)
"""
    assert run(packed, program, tmp_path) == "dual_hpc.later"


def test_many_starts_at_once_on_a_damaged_folder_all_run_the_archive(packed: Path, tmp_path: Path) -> None:
    place = Path(run(packed, SHOW, tmp_path).split()[2])
    for name in ("__init__.py", "part/inner.py"):
        (place / name).write_text("1 / 0\n")
    with ThreadPoolExecutor(6) as pool:
        said = list(pool.map(lambda _: run(packed, SHOW, tmp_path).split()[:2], range(12)))
    assert said == [["archived", "inner"]] * 12


def test_code_that_nobody_uses_is_removed_and_code_in_use_is_not(packed: Path, tmp_path: Path) -> None:
    code = Path(run(packed, SHOW, tmp_path).split()[2]).parent
    old = time.time() - 86_400 * (bootstrap.UNUSED_DAYS + 1)
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": "", "SLURM_TMPDIR": "", "JOBSCRATCH": ""}
    program = "import sys; print('up', flush=True); sys.stdin.read()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, packed, "-c", program], stdin=pipe, stdout=pipe, env=environment) as user:
        assert user.stdout.readline() == b"up\n"
        os.utime(code, (old, old))
        bootstrap.remove_unused(str(code.parent))
        assert code.exists()
        user.communicate()
    bootstrap.remove_unused(str(code.parent))
    assert not code.exists() and code.parent.exists()


FILES = {"__main__.py": b"1", "a/__init__.py": b"", "a/b/c.py": b"WORD = 1", "a/d.yaml": b"x: 1", "e.py": b"2"}
PLACES = (*FILES, "a", "a/b", "a/b/extra.py", "a/__pycache__/d.pyc", "json.py", "a/b/c.py/inner", "new/package/x.py")
DONE = ("write", "remove", "link", "folder", "mode")
CHANGES = st.tuples(st.sampled_from(DONE), st.sampled_from(PLACES), st.binary())


def _change(folder: Path, what: str, place: str, content: bytes) -> None:
    path = folder / place
    with contextlib.suppress(OSError):
        if not path.parent.resolve().is_relative_to(folder):
            return  # through a link that an earlier change has made
        if what == "mode":
            path.chmod(0o000 if path.is_file() else 0o700)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        if what == "write":
            path.write_bytes(content)
        if what == "link":
            path.symlink_to(folder.parent / "away")
        if what == "folder":
            path.mkdir()


@given(st.lists(CHANGES, max_size=12))
def test_whatever_was_done_to_a_folder_it_holds_the_archive_again(changes: list[tuple[str, str, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as base:
        folder, away = Path(base).resolve() / "code", Path(base).resolve() / "away"
        away.mkdir()
        (away / "kept.txt").write_text("mine")
        folder.mkdir()
        bootstrap.restore(FILES, str(folder))
        for change in changes:
            _change(folder, *change)
        bootstrap.restore(FILES, str(folder))
        found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}
        assert {name: path.read_bytes() for name, path in found.items()} == FILES
        assert not any(path.is_symlink() for path in found.values())
        assert [path.name for path in away.iterdir()] == ["kept.txt"]


def test_names_that_lead_out_of_the_folder_are_refused(archive: Path, tmp_path: Path) -> None:
    for name in ("../out.py", "/tmp/out.py", "a/../../out.py"):
        with pytest.raises(ValueError, match="lead out"):
            bootstrap.restore({name: b""}, str(tmp_path / "code"))


def test_a_signal_of_the_first_moments_is_neither_lost_nor_deadly(archive: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(archive.parent), "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, archive, "-c", RANK], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout) == (0, "SIGUSR2\n"), done.stderr


def test_a_node_without_a_place_for_the_code_is_named_in_one_line(tmp_path: Path) -> None:
    """`launch.records.srun_output` looks for this line."""
    blocked = tmp_path / "blocked.zip"
    source = (
        Path(bootstrap.__file__)
        .read_text()
        .replace('if __name__ == "__main__":', 'node_folders = lambda: iter(())\nif __name__ == "__main__":')
    )
    with zipfile.ZipFile(blocked, "w") as file:
        file.writestr("__main__.py", source)
    named = {**os.environ, "SLURMD_NODENAME": "n4"}
    done = subprocess.run([sys.executable, blocked, "-c", ""], capture_output=True, text=True, env=named)
    assert done.returncode == 1
    assert (
        done.stderr.startswith(f"{UNFIT_NODE} n4: no place for the code of the run: ") and done.stderr.count("\n") == 1
    )
