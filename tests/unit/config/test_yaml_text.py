from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.config.yaml_text import read_yaml, write_yaml

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.from_regex(r"[-+.0-9eExX_:oinfaNy~<=]{1,8}", fullmatch=True)
)
TREES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)


@given(TREES)
def test_what_is_written_is_what_is_read(tree: object) -> None:
    assert read_yaml(write_yaml(tree)) == tree


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E3", 1000.0),
        ("-.5e1", -5.0),
        ("1.", 1.0),
        ("-.inf", -math.inf),
        ("0x10", 16),
        ("1_000", 1000),
        ("no", False),
        ("~", None),
        ("1:30", "1:30"),
        ("010", "010"),
        ("2020-01-01", "2020-01-01"),
        ("1e", "1e"),
        ("e5", "e5"),
    ],
)
def test_a_number_is_what_looks_like_one(text: str, value: object) -> None:
    found = read_yaml(text)
    assert found == value and type(found) is type(value)


def test_aliases_are_written_out() -> None:
    assert read_yaml("a: &x {k: [1]}\nb: *x\nc: {<<: *x, l: 2}") == {
        "a": {"k": [1]},
        "b": {"k": [1]},
        "c": {"k": [1], "l": 2},
    }


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join(['*' + old] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [BOMB, "&a\nb: *a\n", "&a [*a]", "[" * 3000 + "]" * 3000, "{a: " * 2000 + "1" + "}" * 2000],
    ids=["laughs", "own mapping", "own list", "deep list", "deep mapping"],
)
def test_a_bomb_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"values|deeply"):
        read_yaml(text)


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")) | TREES.map(yaml.safe_dump))
def test_any_text_is_data_or_one_line(text: str) -> None:
    try:
        read_yaml(text)
    except ValueError as error:
        assert "\n" not in str(error)
