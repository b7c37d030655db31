"""What a shell completes after `source <(dual-hpc completion bash)`."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from dual_hpc.config import preset_names
from launch.cli.main import ALIASES, VERBS, main


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shell") / "completion.bash"
    with path.open("w") as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", file)
        assert main(["completion", "bash"]) == 0
    return path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    for name in ("runs/trial-1", "runs/trial-2", "sweeps/cv", "jobs/pack-1"):
        (tmp_path / "my store" / name).mkdir(parents=True)
    return tmp_path / "my store"


def completed(script: Path, store: Path, *words: str) -> list[str]:
    """What bash offers for the last word."""
    line = f"""
        source {shlex.quote(str(script))}
        COMP_WORDS=(dual-hpc {shlex.join(words)}); COMP_CWORD={len(words)}
        _dual_hpc; printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    environ = {**os.environ, "DUAL_STORE": str(store)}
    done = subprocess.run(["bash", "--norc", "-c", line], capture_output=True, text=True, env=environ, check=True)
    assert done.stderr == ""
    return done.stdout.split()


def test_verbs_and_their_aliases(script: Path, store: Path) -> None:
    assert set(completed(script, store, "")) == {*VERBS, *ALIASES, "--help", "--version"}
    assert completed(script, store, "stat") == ["status"]


@pytest.mark.parametrize(
    ("words", "some"),
    [
        (["status", ""], {"trial-1", "trial-2", "cv", "pack-1"}),
        (["resume", "tr"], {"trial-1", "trial-2"}),
        (["paper", ""], {"cv"}),
        (["train", "--run", "trial-1"], {"trial-1"}),
        (["train", "--preset", ""], set(preset_names())),
        (["submit", "--profile", "d"], {"dev"}),
        (["train", "--pres"], {"--preset"}),
        (["train", "optim.lr"], {"optim.lr="}),
        (["resume", "trial-1", "launch.ho"], {"launch.hours="}),
        (["status", "--js"], {"--json"}),
        (["diagnose", "tr"], {"trial-1", "trial-2"}),
    ],
)
def test_what_may_follow(words: list[str], some: set[str], script: Path, store: Path) -> None:
    found = completed(script, store, *words)
    assert some <= set(found)
    assert all(one.startswith(words[-1]) for one in found)


def test_a_store_that_is_not_there_completes_no_names(script: Path, tmp_path: Path) -> None:
    assert completed(script, tmp_path / "none", "status", "") == []


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh here")
def test_zsh_reads_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "zsh"]) == 0
    (tmp_path / "completion.zsh").write_text(capsys.readouterr().out)
    program = f"autoload -Uz compinit; compinit -u; source {tmp_path / 'completion.zsh'}; whence -w _dual_hpc"
    done = subprocess.run(["zsh", "-f", "-c", program], capture_output=True, text=True, check=True)
    assert "function" in done.stdout
