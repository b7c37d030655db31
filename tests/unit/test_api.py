"""What `import dual_hpc` offers: every name is there, documented, typed, and found without loading the rest."""

from __future__ import annotations

import ast
import doctest
import inspect
from pathlib import Path

import pytest

import dual_hpc
from dual_hpc import api

FUNCTIONS = ("evaluate", "load_config", "open_run", "pack", "train")


@pytest.mark.parametrize("name", dual_hpc.__all__)
def test_each_name_is_found_and_documented(name: str) -> None:
    thing = getattr(dual_hpc, name)
    assert inspect.getdoc(thing)
    assert name in dir(dual_hpc)


def test_type_checkers_see_the_same_names_as_python_does() -> None:
    tree = ast.parse(Path(str(dual_hpc.__file__)).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    assert sorted(alias.name for node in imports for alias in node.names) == sorted(dual_hpc.__all__)
    for node in imports:
        assert {alias.name for alias in node.names} == set(dual_hpc._HOMES[str(node.module)])


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'dual_hpc' has no attribute 'trian'"):
        dual_hpc.trian  # noqa: B018


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_function_shows_an_example(name: str) -> None:
    function = getattr(api, name)
    assert "Example:\n" in str(inspect.getdoc(function))


def test_the_examples_that_can_run_here_are_true() -> None:
    result = doctest.testmod(api)
    assert result.attempted >= 2 and result.failed == 0


def test_a_run_that_is_not_there_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(dual_hpc.UserError, match="there is no run 'nobody'"):
        dual_hpc.open_run("nobody", tmp_path)


def test_training_leaves_the_configuration_as_it_is(tmp_path: Path) -> None:
    config = dual_hpc.load_config("demo", [f"store={tmp_path}", "launch.profile=jean-zay-a100", "data.shards=[here]"])
    before = config.model_dump()
    with pytest.raises(dual_hpc.UserError, match="here"):
        dual_hpc.train(config)
    assert config.model_dump() == before
