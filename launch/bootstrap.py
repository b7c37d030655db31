"""`python code.zip ARGUMENTS...`: run Python with the code in this archive. It is the archive's own __main__.

The archive is unpacked once per node, into a folder that only its user can write, and found by its content: a job that
is requeued, or many ranks of one node, unpack it once. Nothing but the standard library.

The signals that ask a job to stop are blocked from here on until the training handles them: submitit's handlers would
requeue a job that was just asked to stop, and without any handler they kill it.
"""

import hashlib
import os
import runpy
import shutil
import signal
import stat
import sys
import tempfile
import zipfile


def node_folder() -> str:
    """A folder of this node that only this user can write.

    A job that was submitted from within another one inherits the other's TMPDIR, which may be gone.

    Raises:
        PermissionError: another user has made a folder of this name.
    """
    named = (os.environ.get(name, "") for name in ("SLURM_TMPDIR", "JOBSCRATCH", "TMPDIR"))
    base = next((place for place in named if os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK)), "/tmp")
    folder = os.path.join(base, f"dual-hpc-{os.getuid()}")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PermissionError(f"{folder} is not a folder that only this user can write")
    return folder


def unpack(archive: str, base: str) -> str:
    """The folder in `base` that holds the archive's content; made at the first call."""
    with open(archive, "rb") as file:
        target = os.path.join(base, hashlib.sha256(file.read()).hexdigest()[:16])
    if not os.path.isdir(target):
        unfinished = tempfile.mkdtemp(dir=base)
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(unfinished)
        try:
            os.rename(unfinished, target)
        except OSError:  # another rank of this node was faster
            shutil.rmtree(unfinished)
    return target


def main() -> None:
    """Called twice: from the archive, which it unpacks; then from the folder, which comes first on the path.

    Not by `python -m`: that looks for modules in the working directory first, and jobs are submitted from the tree.
    """
    if not zipfile.is_zipfile(sys.argv[0]):
        run(sys.argv[1:])
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2, signal.SIGTERM})
    code = unpack(sys.argv[0], node_folder())
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
