"""A manifest lists no file out of its own folder, whoever wrote it."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from dual_hpc.files.digest import FileDigests

DIGEST = {"bytes": 0, "sha256": "0" * 64}


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "..", "a\0b"])
def test_a_path_that_leads_out_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="is outside the folder"):
        TypeAdapter(FileDigests).validate_python({name: DIGEST})


def test_paths_within_are_kept() -> None:
    assert set(TypeAdapter(FileDigests).validate_python({"a/b.pt": DIGEST, "..a": DIGEST})) == {"a/b.pt", "..a"}
