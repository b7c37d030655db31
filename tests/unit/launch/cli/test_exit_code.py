"""Whatever a command is given and whatever it raises: an exit code and one printable line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dual_hpc.errors import EnvironmentFault, UserError
from launch.cli.exit_code import exit_code
from launch.cli.main import ALIASES, VERBS, main
from tests.unit.other_user import as_other_user, needs_root, open_folder

ROOT = Path(__file__).resolve().parents[4]
LATIN = os.fsdecode(b"caf\xe9.wav")


@pytest.mark.parametrize("verb", [*(verb for verb in VERBS if verb != "predict"), *ALIASES, "nonsense", "--help"])
@pytest.mark.parametrize("place", [[LATIN], ["--store", LATIN], ["a", f"name={LATIN}"]])
def test_a_word_that_is_not_utf8_is_refused_in_one_line(
    verb: str, place: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert main([verb, *place]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "caf\\udce9.wav" in said and "UTF-8" in said


@pytest.mark.parametrize(
    "words",
    [
        ["--input", LATIN, "--model", "nowhere"],
        ["--input", "a.wav", "--model", LATIN],
        ["--input", "a.wav", "--model", ".", "--text", LATIN],
        ["--input", "a.wav", "--model", ".", "--output", f"{LATIN}/{LATIN}"],
        [LATIN],
    ],
)
def test_predict_takes_such_names_and_refuses_what_it_cannot_use(
    words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.wav").touch()
    try:
        assert main(["predict", *words]) == 2
    except SystemExit as left:  # argparse
        assert left.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "internal" not in said


@pytest.mark.parametrize("module", ["launch.local", "launch.aftermath", "launch.demo", "launch.cli.main"])
def test_other_ways_into_the_program_refuse_it_as_well(module: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", module, os.fsdecode(b"\xff\xfe")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment)
    assert done.returncode == 2 and done.stderr.startswith(b"dual-hpc: error: ") and done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "word"),
    [
        (UserError("a\x1b[2Jb: change it"), 2, "a\\x1b[2Jb: change it"),
        (EnvironmentFault("the disk\nis full"), 1, "the disk is full"),
        (UnicodeEncodeError("utf-8", "caf\udce9", 3, 4, "surrogates not allowed"), 2, "caf\\udce9"),
        (OSError(36, "File name too long", "x\x9b"), 1, "x\\x9b: File name too long"),
        (MemoryError(), 1, "memory"),
        (RecursionError("maximum"), 1, "internal error: RecursionError"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_an_error_is_one_line_and_a_code(
    error: BaseException,
    code: int,
    word: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def fail() -> int:
        raise error

    assert exit_code(fail, []) == code
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and word in said


def test_without_a_home_folder_the_trace_goes_to_standard_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null/nothing")

    def fail() -> int:
        raise UserError("a is wrong")

    assert exit_code(fail, []) == 2
    assert capsys.readouterr().err.endswith("dual-hpc: error: a is wrong\n")


@pytest.mark.parametrize("where", ["folder", "DUAL_STORE"])
@pytest.mark.parametrize("verb", [["runs"], ["train", "--preset", "demo", "--shards", "s"], ["sweep", "--show", "a"]])
def test_a_folder_that_is_not_utf8_costs_one_line(
    where: str, verb: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / LATIN
    odd.mkdir()
    monkeypatch.setenv("XDG_STATE_HOME", str(odd))
    monkeypatch.delenv("DUAL_STORE", raising=False)
    monkeypatch.chdir(odd if where == "folder" else tmp_path)
    if where == "DUAL_STORE":
        monkeypatch.setenv("DUAL_STORE", str(odd))
    code, said = main(verb), capsys.readouterr().err
    assert (code, said.count("\n")) in ((0, 0), (2, 1)) and "internal" not in said


@needs_root
def test_what_only_a_colleague_may_read_is_named_with_its_owner(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_folder() as folder:
        (folder / "state").mkdir()
        (folder / "state").chmod(0o777)
        monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
        secret = folder / "rank_0000.log"
        secret.write_text("secret")
        secret.chmod(0o600)
        assert as_other_user(lambda: exit_code(lambda: len(secret.read_text()), [])) == "1"
        assert capfd.readouterr().err == f"dual-hpc: error: {secret}: Permission denied (it belongs to root)\n"
