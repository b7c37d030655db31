"""Sizes as people write them."""

from __future__ import annotations

import pytest

from dual_hpc.errors import UserError
from dual_hpc.serving.limits import parse_size, size_text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("500MB", 500_000_000),
        ("2 GiB", 2 << 30),
        ("1000", 1000),
        ("1.5k", 1500),
        ("10mb", 10_000_000),
        ("3Gi", 3 << 30),
    ],
)
def test_a_size_is_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "-5MB", "MB", "5 TB", "0.2", "nan", "1e9", "5MB5"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="--max-upload"):
        parse_size(text)


def test_a_size_is_shown_as_it_was_written() -> None:
    assert [size_text(parse_size(text)) for text in ("500MB", "2GB", "12kB", "7")] == [
        "500 MB",
        "2 GB",
        "12 kB",
        "7 bytes",
    ]
