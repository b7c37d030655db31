"""Lists of nodes as Slurm writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch.cluster.hostlist import expand_hosts


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("n1", ["n1"]),
        ("n[1-3,7],login", ["n1", "n2", "n3", "n7", "login"]),
        ("jean-zay-ia[08-11]", ["jean-zay-ia08", "jean-zay-ia09", "jean-zay-ia10", "jean-zay-ia11"]),
        ("r[1-2]n[1,3]", ["r1n1", "r1n3", "r2n1", "r2n3"]),
        ("gpu[1-2]-ib", ["gpu1-ib", "gpu2-ib"]),
        ("", []),
        ("(null)", []),
    ],
)
def test_a_list_is_expanded_in_its_order(text: str, names: list[str]) -> None:
    assert expand_hosts(text) == names


@given(st.text(alphabet="n19-[],a(", max_size=30))
def test_nothing_that_a_command_prints_breaks_it(text: str) -> None:
    assert all(expand_hosts(text))
