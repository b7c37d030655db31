"""What `import dual_hpc` offers: every name is there, documented, typed, and found without loading the rest."""

from __future__ import annotations

import ast
import doctest
import inspect
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

import dual_hpc
from dual_hpc import api
from dual_hpc.run.directory import RunDir

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


def test_plugins_in_a_run_that_others_may_write_are_taken_only_with_trust(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    run = RunDir.create(tmp_path / "store" / "runs" / "theirs", dual_hpc.load_config("demo", ["plugins=[theirs_only]"]))
    with zipfile.ZipFile(run.code, "w") as packed:
        packed.writestr("theirs_only.py", "WORD = 'run'\n")
    run.code.chmod(0o666)
    with pytest.raises(dual_hpc.UserError, match=r"code\.zip .* --trust"):
        dual_hpc.evaluate(run)
    assert "theirs_only" not in sys.modules
    with pytest.raises(dual_hpc.UserError, match="no exported weights"):
        dual_hpc.evaluate(run, trust=True)
    assert sys.modules["theirs_only"].WORD == "run"


def test_a_run_that_others_may_write_is_continued_only_with_trust(tmp_path: Path) -> None:
    rows = ["id,audio,label,split"]
    for number in range(8):
        soundfile.write(tmp_path / f"{number}.wav", 0.3 * np.sin(np.arange(4_000) / 7), 16_000)
        rows.append(f"c{number},{number}.wav,{('happy', 'sad')[number % 2]},{('train', 'test')[number // 4]}")
    (tmp_path / "clips.csv").write_text("\n".join(rows) + "\n")
    dual_hpc.pack("manifest", tmp_path / "clips.csv", tmp_path / "shards")
    settings = [
        f"store={tmp_path / 'store'}",
        "name=theirs",
        "data.protocol=all",
        f"data.shards=[{tmp_path / 'shards'}]",
    ]
    settings += ["data.global_batch=2", "data.micro_batch=1", "launch.ranks_per_node=1"]
    run = RunDir.create(tmp_path / "store" / "runs" / "theirs", dual_hpc.load_config("demo", [*settings, "seed=1"]))
    run.path.chmod(0o777)
    config = dual_hpc.load_config("demo", settings)
    with pytest.raises(dual_hpc.UserError, match=r"runs/theirs .* --trust"):
        dual_hpc.train(config)
    with pytest.raises(dual_hpc.UserError, match="seed"):  # the next reason to refuse it
        dual_hpc.train(config, trust=True)
    assert not list(run.logs.iterdir())
