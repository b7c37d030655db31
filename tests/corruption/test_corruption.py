"""A short, fixed part of `make corrupt`: two damages of every kind of file that the product reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.corruption.damage import DAMAGES
from tests.corruption.subjects import SUBJECTS, Subject
from tests.corruption.sweep import Bench, Case, Outcome, cases, faults

ROUNDS = 2
CASES = cases(ROUNDS * len(SUBJECTS), seed=13)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # the children are forks
    yield Bench(tmp_path_factory.mktemp("corruption"))
    torch.set_num_threads(before)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("case", CASES, ids=[f"{case.subject.kind}, {case.damage}" for case in CASES])
def test_a_damaged_file_is_refused_in_one_line_or_changes_nothing_that_is_proven(case: Case, bench: Bench) -> None:
    undamaged = bench.undamaged(case.subject)
    assert undamaged.codes == [0] * len(undamaged.codes), undamaged.errors
    assert not faults(case, bench.damaged(case), undamaged)


def test_every_damage_and_every_file_takes_part() -> None:
    assert {case.subject for case in CASES} == set(SUBJECTS)
    assert {case.damage for case in cases(len(DAMAGES) * len(SUBJECTS), 0)} == set(DAMAGES)
    assert cases(50, 7) == cases(50, 7) != cases(50, 8)


BEFORE = Outcome([0], ["angry 0.5"], [""], 0.1)
BAD = {
    "hang": replace(BEFORE, codes=[None]),
    "crash": replace(BEFORE, codes=[-11]),
    "traceback": replace(BEFORE, codes=[1], errors=["Traceback (most recent call last):"]),
    "internal": replace(BEFORE, codes=[1], errors=["dual-hpc: error: internal error: KeyError"]),
    "escape": replace(BEFORE, outs=["\x1b[31m"]),
    "advice": replace(BEFORE, codes=[2], errors=["set weights_only=False"]),
    "silence": replace(BEFORE, codes=[2], outs=[""]),
    "another answer": replace(BEFORE, outs=["happy 0.5"], changed=True),
    "unnoticed": replace(BEFORE, changed=True),
}


@pytest.mark.parametrize("name", BAD)
def test_what_must_not_happen_is_a_fault(name: str) -> None:
    subject = Subject("model", "x", (("predict",),), proven=name == "another answer", noticed=name == "unnoticed")
    assert faults(Case(subject, "bits", 0), BAD[name], BEFORE)
    assert not faults(Case(subject, "bits", 0), BEFORE, BEFORE)


def test_a_damage_never_fails_itself(tmp_path: Path) -> None:
    import random

    for name, damage in DAMAGES.items():
        for content in (b"", b"a", b'{"a": [1, {"b": null}]}\n', bytes(range(256)) * 20):
            path = tmp_path / "file"
            path.write_bytes(content)
            (tmp_path / "other").write_bytes(b"other")
            damage(path, random.Random(1))
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            path.unlink(missing_ok=True)
            assert name
