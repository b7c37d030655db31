from __future__ import annotations

from pathlib import Path

import pytest

from dual_hpc.config.paths import default_store, expand
from dual_hpc.errors import UserError


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("$A/x", "/a/x"),
        ("${A}/x", "/a/x"),
        ("${B:-/b}/x", "/b/x"),
        ("${EMPTY:-/b}", "/b"),
        ("${B:-}", ""),
        ("/plain", "/plain"),
        ("a$A", "a/a"),
    ],
)
def test_variables_are_replaced(text: str, found: str) -> None:
    assert expand(text, "store", {"A": "/a", "EMPTY": ""}) == found


def test_an_unset_variable_is_named_with_its_setting() -> None:
    with pytest.raises(UserError, match=r"store: .*SCRATCH"):
        expand("$SCRATCH/x", "store", {})


def test_a_home_folder_of_an_unknown_user_is_refused() -> None:
    with pytest.raises(UserError, match="store: the home folder ~nobody-is-called-so does not exist"):
        expand("~nobody-is-called-so/x", "store", {})


def test_what_no_file_system_takes_is_refused_by_setting() -> None:
    with pytest.raises(UserError, match="store: a path must not contain the character NUL"):
        expand("/x\0y", "store", {})


def test_the_store_follows_the_cluster() -> None:
    assert default_store({"DUAL_STORE": "/d", "SCRATCH": "/s"}) == Path("/d")
    assert default_store({"SCRATCH": "/s", "WORK": "/w"}) == Path("/s/dual_hpc")
    assert default_store({"WORK": "/w"}) == Path("/w/dual_hpc")
    assert default_store({}) == Path("store")
