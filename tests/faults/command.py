"""A command with a fault of the disk at one call of it, and the same command again on a disk that works."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from launch.cli.main import main
from tests.faults.shim import Shim, strikes

Contents = dict[str, bytes]  # name in the output folder -> bytes


def call(words: Sequence[str]) -> tuple[int, str]:
    """The exit code of `dual-hpc WORDS`, and what it said on standard error."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = main(list(words))
    return code, said.getvalue()


def contents(folder: Path) -> Contents:
    """Every finished file; what begins with a dot is not: it was left by a writer that failed."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    named = {str(path.relative_to(folder)): path for path in found}
    return {
        name: path.read_bytes() for name, path in named.items() if not any(p.startswith(".") for p in name.split("/"))
    }


class Lives:
    """The cases of one command, whose output lies in `folder`.

    Args:
        begin: makes the folder as it is before the command.
        accepted: what a reader takes of the folder's contents although it is not as `whole` has it, where the command
            has failed.
    """

    def __init__(
        self,
        shim: Shim,
        words: Sequence[str],
        folder: Path,
        begin: Callable[[], object],
        accepted: Callable[[Contents, Contents], list[str]],
    ) -> None:
        self.shim, self.words, self.folder, self.begin, self.accepted = shim, words, folder, begin, accepted
        self.whole: Contents = {}

    def run(self, every: int, which: str) -> None:
        """Print one JSON line per case; the first is undisturbed."""
        first = self.case(0, "EIO", False)
        print(json.dumps(first), flush=True)
        for at, kind, lasting in strikes(first["calls"], every, which):
            print(json.dumps({"at": at, "kind": kind, "lasting": lasting, **self.case(at, kind, lasting)}), flush=True)

    def case(self, at: int, kind: str, lasting: bool) -> dict[str, Any]:
        """The command with a fault, what is left of it, and the command that follows."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.begin()
        self.shim.arm(self.folder, at, kind, lasting)
        code, said = call(self.words)
        calls, failed = self.shim.disarm()
        left = contents(self.folder)
        self.whole = self.whole or left
        problems = [] if code else differences("finished", left, self.whole)
        if code:
            problems += [f"accepted: {what}" for what in self.accepted(left, self.whole)]
            if code != 1 or said.count("\n") != 1 or "internal error" in said or str(self.folder) not in said:
                problems.append(f"exit code {code}, and not one line that names the file: {said}")
        again, words = call(self.words)
        problems += [f"the command again ends with {again}: {words}"] if again else []
        problems += differences("the command again", contents(self.folder), self.whole)
        return {"calls": calls, "failed": failed, "error": said or None, "problems": problems}


def differences(what: str, left: Contents, whole: Contents) -> list[str]:
    """Files that are not byte for byte as an undisturbed command writes them."""
    names = sorted(name for name in {*left, *whole} if left.get(name) != whole.get(name))
    return [f"{what}: not as it should be: {', '.join(names)}"] if names else []
