"""`python code.zip ARGUMENTS...`: run Python with the code in this archive. It is the archive's own __main__.

The archive is unpacked once per node, into a folder of this user alone, and found by its content: a job that is
requeued, or many ranks of one node, unpack it once. Each start compares what is there with the archive, byte by byte,
and puts right what differs. Nothing but the standard library.

The signals that ask a job to stop are blocked from here on until the training handles them: submitit's handlers would
requeue a job that was just asked to stop, and without any handler they kill it.
"""

import contextlib
import fcntl
import hashlib
import importlib.machinery
import io
import os
import runpy
import shutil
import signal
import stat
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from types import ModuleType

PACKAGES = ("dual_hpc", "launch", "shards", "slurm")  # what an archive holds besides plugins
UNUSED_DAYS = 14  # after which code that no process uses is removed from a node


def node_folders() -> Iterator[str]:
    """Folders of this node that only this user can write, the best first: each is made when it is asked for.

    A job that was submitted from within another one inherits the other's TMPDIR, which may be gone.
    """
    named = (os.environ.get(name, "") for name in ("SLURM_TMPDIR", "JOBSCRATCH", "TMPDIR"))
    for base in dict.fromkeys(filter(None, (*named, "/tmp", "/dev/shm"))):
        if os.path.isdir(base) and os.access(base, os.W_OK | os.X_OK) and _is_safe(base):
            try:
                yield private_folder(base)
            except OSError:  # a full disk, for example
                continue


def private_folder(base: str) -> str:
    """A folder in `base` that only this user can write: `dual-hpc-UID`, or another name where somebody has taken that.

    Raises:
        OSError: none can be made.
    """
    name = f"dual-hpc-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        os.mkdir(os.path.join(base, name), 0o700)
    others = sorted(entry for entry in os.listdir(base) if entry.startswith(f"{name}-"))
    for path in (os.path.join(base, entry) for entry in (name, *others)):
        if _is_private(path):
            return path
    return tempfile.mkdtemp(prefix=f"{name}-", dir=base)


def _is_private(folder: str) -> bool:
    try:
        found = os.lstat(folder)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
            return False
        if found.st_mode & 0o777 != 0o700:
            os.chmod(folder, 0o700)
    except OSError:
        return False
    return True


def _is_safe(base: str) -> bool:
    """True if nobody but this user and the system can rename what this user makes in `base`."""
    path = os.path.realpath(base)
    trusted = {0, os.getuid(), os.stat("/").st_uid}  # in some containers the system's files are not root's
    while True:
        found = os.stat(path)
        if found.st_uid not in trusted or (found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX):
            return False
        if path == os.path.dirname(path):
            return True
        path = os.path.dirname(path)


def unpack(archive: str) -> str:
    """The folder that holds exactly what the archive does; this process, and what it becomes, keep it in use.

    Raises:
        OSError: there is no place for it on this node.
        BadZipFile: the archive is damaged.
    """
    with open(archive, "rb") as file:
        content = file.read()
    failure = OSError("no folder of this node is writable by this user alone (SLURM_TMPDIR, JOBSCRATCH, TMPDIR, /tmp)")
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        files = {entry.filename: packed.read(entry) for entry in packed.infolist() if not entry.is_dir()}
    for base in node_folders():
        try:
            remove_unused(base)
            return _shared(files, os.path.join(base, hashlib.sha256(content).hexdigest()[:16]))
        except OSError as error:
            failure = error
        try:  # what lies there cannot be put right
            folder = _fresh(files, base)
            _hold(folder)
            return folder
        except OSError as error:
            failure = error
    raise failure


def _shared(files: dict[str, bytes], target: str) -> str:
    """`target` with these files, made if need be, and held."""
    held = False
    while not held:
        if not os.path.isdir(target) or os.path.islink(target):
            if os.path.lexists(target):
                os.unlink(target)
            unfinished = _fresh(files, os.path.dirname(target))
            try:
                os.rename(unfinished, target)
            except OSError:  # another rank of this node was faster
                shutil.rmtree(unfinished, ignore_errors=True)
        held = _hold(target)
    restore(files, target)
    return target


def _hold(folder: str) -> bool:
    """Mark a folder as used, by its time and by a lock that outlives `exec`; False where it was just removed."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    with contextlib.suppress(OSError):  # a file system without locks, where nothing is ever removed
        fcntl.flock(lock, fcntl.LOCK_SH)
    os.set_inheritable(lock, True)
    try:
        os.utime(lock)
        return os.path.samestat(os.fstat(lock), os.stat(folder))
    except FileNotFoundError:
        return False


def _fresh(files: dict[str, bytes], base: str) -> str:
    folder = tempfile.mkdtemp(dir=base)
    try:
        restore(files, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def restore(files: dict[str, bytes], folder: str) -> None:
    """Make `folder` hold these files and nothing else. What is right stays as it is: others may be reading it.

    Raises:
        OSError: it cannot be read or written.
        ValueError: a name leads out of the folder.
    """
    if any(name.startswith("/") or ".." in name.split("/") for name in files):
        raise ValueError("the archive holds names that lead out of its folder")
    folders = {""}
    for name in files:
        parts = name.split("/")[:-1]
        folders |= {"/".join(parts[:depth]) for depth in range(1, len(parts) + 1)}
    for place in sorted(folders):
        os.makedirs(os.path.join(folder, place), mode=0o700, exist_ok=True)
        with os.scandir(os.path.join(folder, place)) as entries:
            for entry in list(entries):
                name = f"{place}/{entry.name}" if place else entry.name
                is_folder = entry.is_dir(follow_symlinks=False)
                if name not in (folders if is_folder else files) or entry.is_symlink():
                    _remove(entry.path, is_folder)
    for name, data in files.items():
        path = os.path.join(folder, name)
        if _content(path, len(data)) != data:
            handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path))
            with open(handle, "wb") as file:
                file.write(data)
            os.replace(temporary, path)


def _remove(path: str, is_folder: bool) -> None:
    """Also where another rank removes the same."""
    if is_folder:
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _content(path: str, size: int) -> bytes | None:
    """None for what is not a file of this size, or cannot be read."""
    try:
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode) or found.st_size != size:
            return None
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def remove_unused(base: str) -> None:
    """Remove code that no process has used for `UNUSED_DAYS`, and what killed processes left."""
    for name in os.listdir(base):
        path = os.path.join(base, name)
        try:
            if time.time() - os.lstat(path).st_mtime < UNUSED_DAYS * 86_400:
                continue
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except OSError:  # in use, or nobody can tell
            pass
        finally:
            os.close(folder)


class ArchiveOnly:
    """Finds the modules of `PACKAGES` in the unpacked archive or nowhere.

    An editable installation would otherwise complete the archive with whatever the source tree holds by now.
    """

    def __init__(self, code: str) -> None:
        self.code = code
        self.packages = [name for name in PACKAGES if os.path.isdir(os.path.join(code, name))]

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] not in self.packages:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, [self.code] if path is None else path, target)
        if spec is None:
            raise ModuleNotFoundError(f"No module named {name!r} in the code of this run ({self.code})", name=name)
        return spec


def main() -> None:
    """Called twice: from the archive, which it unpacks; then from the folder, which comes first on the path.

    Not by `python -m`: that looks for modules in the working directory first, and jobs are submitted from the tree.
    """
    if not zipfile.is_zipfile(sys.argv[0]):
        sys.meta_path.insert(0, ArchiveOnly(os.path.dirname(os.path.abspath(sys.argv[0]))))
        run(sys.argv[1:])
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2, signal.SIGTERM})
    try:
        code = unpack(sys.argv[0])
    except zipfile.BadZipFile:
        sys.exit(f"dual-hpc: {sys.argv[0]} is damaged; `dual-hpc resume RUN --new-code` makes another")
    except OSError as error:  # the job's batch script, and `why`, look for this line
        node = os.environ.get("SLURMD_NODENAME") or os.uname().nodename
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(f"dual-hpc: node {node}: no place for the code of the run: {where}{error.strerror or error}")
    others = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = f"{code}{os.pathsep}{others}" if others else code
    os.execv(sys.executable, [sys.executable, "-u", os.path.join(code, "__main__.py"), *sys.argv[1:]])


def run(arguments: list[str]) -> None:
    """What Python's own -m and -c do."""
    arguments = arguments[1:] if arguments[0] == "-u" else arguments
    sys.argv = arguments[1:]
    if arguments[0] == "-m":
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        exec(compile(arguments[1], "<string>", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    main()
