"""Advisories that were not read are never "no known vulnerabilities"."""

from __future__ import annotations

from typing import Any

import pytest

from requirements.audit import OPEN, UNREAD, Audit, ask
from requirements.pins import LOCK, Pin

PINS = {name: Pin(name, "1.0", f"{name}==1.0", ["0" * 64]) for name in ("a", "b-c")}
CLEAN: list[dict[str, Any]] = [{"name": "a", "version": "1.0", "vulns": []}, {"name": "B_c", "vulns": []}]
HOLE: dict[str, Any] = {"name": "a", "vulns": [{"id": "X-1", "fix_versions": ["1.1"]}, {"id": "X-2"}]}
SKIPPED: dict[str, Any] = {"name": "a", "skip_reason": "not found"}


def audit(report: list[dict[str, Any]] | None) -> Audit:
    made = Audit()
    made.add(PINS, report, "no report")
    return made


def test_only_what_was_read_of_every_package_is_clean() -> None:
    assert audit(CLEAN).exit_code == 0 and str(audit(CLEAN)) == "advisories of 2 packages were read, 0 are open"


@pytest.mark.parametrize(
    ("report", "unread", "reason"),
    [
        (None, 2, "no report"),
        ([], 2, "no report"),
        (CLEAN[:1], 1, "no report"),
        ([SKIPPED, CLEAN[1]], 1, "not found"),
        ([{"name": "a"}, CLEAN[1]], 1, "no report"),
    ],
)
def test_what_was_not_read_is_counted_named_and_a_failure(report: Any, unread: int, reason: str) -> None:
    made = audit(report)
    assert made.exit_code == UNREAD and len(made.unread) == unread
    assert f"ADVISORIES NOT READ of {unread} packages" in str(made) and reason in str(made)


def test_reasons_that_differ_in_the_name_alone_are_one_line() -> None:
    made = audit([{"name": name, "skip_reason": f"not found on the index: {name} (1.0)"} for name in PINS])
    assert str(made).splitlines()[-1] == "  a 1.0, b-c 1.0: not found on the index"


def test_open_advisories_are_named_with_what_mends_them() -> None:
    made = audit([HOLE, CLEAN[1]])
    assert made.exit_code == OPEN
    assert made.advisories == ["a 1.0: X-1, fixed in 1.1", "a 1.0: X-2, fixed in no version"]


def test_without_pip_audit_nothing_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("requirements.audit.sys.executable", "/bin/false")
    report, reason = ask(LOCK)
    assert report is None and "no report (exit code 1)" in reason
