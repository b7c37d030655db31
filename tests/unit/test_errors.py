"""Errors as one line."""

from __future__ import annotations

import pytest

from dual_hpc.errors import EnvironmentFault, UserError, one_line, reason_of


@pytest.mark.parametrize(
    ("text", "limit", "line"),
    [
        ("", None, ""),
        ("disk full", None, "disk full"),
        (UserError("two\n\tlines  and blanks \n"), None, "two lines and blanks"),
        (OSError(28, "No space\nleft"), None, "[Errno 28] No space left"),
        (ValueError("abc\ndef"), 5, "abc d"),
        (ValueError("abc"), 5, "abc"),
    ],
)
def test_an_error_is_one_line(text: object, limit: int | None, line: str) -> None:
    assert one_line(text, limit) == line


def test_each_kind_of_error_has_its_exit_code() -> None:
    assert (UserError.exit_code, EnvironmentFault.exit_code) == (2, 1)


def test_our_own_reasons_are_whole_and_others_are_cut() -> None:
    long = "what to do " * 40
    assert reason_of(UserError(long)) == reason_of(EnvironmentFault(long)) == long.strip()
    assert len(reason_of(ValueError(long))) == 200 and reason_of(ValueError()) == "ValueError"
