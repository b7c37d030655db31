"""`python -m tests.corruption.sweep --cases N`: damage a file, let the product read it, and hold what must hold.

Each case is a child process with a limit of time and memory. Whatever was done to a file: no traceback and no internal
error, no waiting, nothing harmful on the terminal, no advice to turn a protection off, every other entry of a listing
still there, and where a hash exists no other answer than the undamaged file's.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dual_hpc.unsafe_advice import without_unsafe_advice
from launch.cli.exit_code import exit_code
from launch.cli.main import main
from tests.corruption.damage import DAMAGES
from tests.corruption.subjects import SUBJECTS, Read, Subject
from tests.corruption.trees import TREES

SECONDS = 60.0  # of one case, on a machine that may be busy
SLOW = 10.0
MEMORY = 4 << 30  # bytes that a case may take beyond what the program has at its start
CAPABILITIES = 0x20080522  # the version of the form in which the kernel tells them


@dataclass(frozen=True)
class Outcome:
    """What a case did: per command its exit code, and all that it wrote; None for the code of one that never ended."""

    codes: list[int | None]
    outs: list[str]
    errors: list[str]
    seconds: float
    changed: bool = False


@dataclass(frozen=True)
class Case:
    """One damage of one file."""

    subject: Subject
    damage: str
    seed: int


def cases(count: int, seed: int, subjects: Iterable[Subject] = SUBJECTS) -> list[Case]:
    """Every file in turn, and every damage in turn over its cases."""
    rng, files, names = random.Random(seed), list(subjects), list(DAMAGES)
    offsets = {subject: rng.randrange(len(names)) for subject in files}
    chosen = []
    for number in range(count):
        subject = files[number % len(files)]
        damage = names[(offsets[subject] + number // len(files)) % len(names)]
        chosen.append(Case(subject, damage, rng.randrange(1 << 30)))
    return chosen


class Bench:
    """The trees, made once, and the place where a copy of one is damaged and read."""

    def __init__(self, root: Path, trees: Iterable[str] = TREES) -> None:
        self.root, self.place = root, root / "here"
        for name in trees:
            self.place.mkdir()
            TREES[name](self.place)
            self.place.rename(root / name)  # made where it will lie, as paths may be written in it
        self._answers: dict[Subject, Outcome] = {}

    def undamaged(self, subject: Subject) -> Outcome:
        """What is read where nothing is wrong."""
        if subject not in self._answers:
            shutil.copytree(self.root / subject.tree, self.place, symlinks=True)
            self._answers[subject] = self._read(subject)
            shutil.rmtree(self.place)
        return self._answers[subject]

    def damaged(self, case: Case) -> Outcome:
        """What is read of a damaged copy."""
        shutil.copytree(self.root / case.subject.tree, self.place, symlinks=True)
        try:
            path = self.place / case.subject.file
            DAMAGES[case.damage](path, random.Random(case.seed))
            before = self.root / case.subject.tree / case.subject.file
            same = path.is_file() and not path.is_symlink() and path.stat().st_size == before.stat().st_size
            changed = not same or path.read_bytes() != before.read_bytes()
            return self._read(case.subject, case.damage == "unreadable", changed)
        finally:
            shutil.rmtree(self.place)

    def _read(self, subject: Subject, without_rights: bool = False, changed: bool = False) -> Outcome:
        begin, said = time.monotonic(), self.root / "said"
        shutil.rmtree(said, ignore_errors=True)
        said.mkdir()
        child = os.fork()
        if child == 0:
            _child(self.place, said, subject.reads, without_rights)
        status = _waited(child, SECONDS)
        count = len(subject.reads)
        codes = [_number(said / f"{n}.code") for n in range(count)]
        if status is not None and os.WIFSIGNALED(status):
            codes[sum(code is not None for code in codes)] = -os.WTERMSIG(status)
        texts = [[_text(said / f"{n}.{name}") for n in range(count)] for name in ("out", "err")]
        return Outcome(codes, texts[0], texts[1], time.monotonic() - begin, changed)


def faults(case: Case, outcome: Outcome, undamaged: Outcome) -> list[str]:
    """What did not hold."""
    found, subject = [], case.subject
    if None in outcome.codes:
        found.append(f"has not ended after {SECONDS:.0f} s")
    for number, (code, out, error) in enumerate(zip(outcome.codes, outcome.outs, outcome.errors, strict=True)):
        text = out + error
        if code is not None and code not in (0, 1, 2):
            found.append(f"read {number}: ended with {code}")
        if "Traceback (most" in text or "internal error" in text:
            found.append(f"read {number}: {text.strip()[-300:]}")
        if harmful := {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs")} - set("\n\t\u200c\u200d"):
            found.append(f"read {number}: prints {harmful}")
        if without_unsafe_advice(text) != text:
            found.append(f"read {number}: advises {text.strip()[-200:]}")
        if code in (1, 2) and not text.strip():
            found.append(f"read {number}: refuses without a word")
        if subject.proven and code == 0 and outcome.changed and not _only_refused(out, undamaged.outs[number]):
            found.append(f"read {number}: another answer, {out.strip()[:200]}")
    if subject.listing and (outcome.codes[0] != 0 or any(name not in outcome.outs[0] for name in subject.listing)):
        found.append(f"the listing lacks {subject.listing}: code {outcome.codes[0]}, {outcome.errors[0][-200:]}")
    if subject.noticed and outcome.changed and outcome.codes[-1] == 0:
        found.append("the damage was not noticed")
    return found


def _only_refused(answer: str, undamaged: str) -> bool:
    """True if each word is the undamaged one's, or says that there is none."""
    said, before = answer.split(), undamaged.split()
    return set(said) <= {*before, "damaged"}


def _child(place: Path, said: Path, reads: tuple[Read, ...], without_rights: bool) -> None:
    """Run the commands, each with its output in files; never returns."""
    try:
        os.setsid()
        os.chdir(place)
        os.environ |= {"PATH": "/nonexistent", "XDG_STATE_HOME": str(said), "HOME": str(said)}
        os.environ.pop("DUAL_STORE", None)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        if without_rights:
            _give_up_root()
        for number, read in enumerate(reads):
            for descriptor, name in ((1, "out"), (2, "err")):
                os.dup2(os.open(said / f"{number}.{name}", os.O_WRONLY | os.O_CREAT, 0o666), descriptor)
            sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            try:
                code = main(read) if isinstance(read, tuple) else exit_code(partial(_print, read), [])
            except SystemExit as left:
                code = left.code if isinstance(left.code, int) else 1
            sys.stdout.flush()
            sys.stderr.flush()
            (said / f"{number}.code").write_text(str(code))
    finally:
        os._exit(0)


def _give_up_root() -> None:
    """Let root, too, be refused what the mode of a file forbids (CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH)."""
    libc, header, data = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(CAPABILITIES, 0), (ctypes.c_uint32 * 6)()
    libc.capget(header, data)
    data[0] &= ~0b110
    libc.capset(header, data)


def _print(read: Callable[[], str]) -> None:
    print(read())


def _waited(child: int, seconds: float) -> int | None:
    """The status of a child; None for one that had to be killed."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _number(path: Path) -> int | None:
    return int(path.read_text()) if path.exists() else None


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="surrogateescape") if path.exists() else ""


def sweep(count: int, seed: int, only: str = "") -> int:
    """Run so many cases and print what did not hold; returns the number of cases that failed."""
    import torch

    torch.set_num_threads(1)
    wrong, longest, tally = 0, 0.0, Counter[str]()
    chosen = [subject for subject in SUBJECTS if only in subject.kind]
    with tempfile.TemporaryDirectory(prefix="corruption-") as folder:
        bench = Bench(Path(folder), {subject.tree for subject in chosen})
        for number, case in enumerate(cases(count, seed, chosen), 1):
            outcome = bench.damaged(case)
            found = faults(case, outcome, bench.undamaged(case.subject))
            tally["refused" if any(outcome.codes) else "answered"] += 1
            longest = max(longest, outcome.seconds)
            if found:
                wrong += 1
                print(f"{case.subject.kind}, {case.damage}, seed {case.seed}: {'; '.join(found)}", flush=True)
            if outcome.seconds > SLOW:
                print(f"slow, {outcome.seconds:.1f} s: {case.subject.kind}, {case.damage}", file=sys.stderr, flush=True)
            if number % 100 == 0:
                print(f"{number} of {count}: {wrong} wrong, slowest {longest:.1f} s", file=sys.stderr, flush=True)
    kinds = len({subject.kind for subject in chosen})
    figures = {"cases": count, "files": kinds, "damages": len(DAMAGES), "wrong": wrong, **tally}
    print(json.dumps({**figures, "slowest_seconds": round(longest, 1)}))
    return wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.corruption.sweep", description=__doc__)
    parser.add_argument("--cases", type=int, default=2_000, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--only", default="", metavar="TEXT", help="of the files whose name contains it")
    arguments = parser.parse_args()
    sys.exit(1 if sweep(arguments.cases, arguments.seed, arguments.only) else 0)
