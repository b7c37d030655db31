"""The command as a user meets it: in its own process, one line and the right exit code for each mistake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dual_hpc.errors import EnvironmentFault, UserError
from launch.cli import main as command

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DUAL_STORE", str(tmp_path / "store"))


@pytest.mark.parametrize("verb", sorted(command.VERBS))
def test_every_verb_teaches_with_examples(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        command.main([verb, "--help"])
    shown = capsys.readouterr().out
    assert left.value.code == 0
    assert "examples:" in shown and f"dual-hpc {verb}" in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], "did you mean train"),
        (["train"], "--preset"),
        (["train", "--preset", "demo"], "data.shards is empty"),
        (["train", "--preset", "demo", "--shards", "/nowhere"], "/nowhere does not exist"),
        (["train", "--preset", "demo", "--run", "x"], "not allowed with"),
        (["train", "--config", "demo", "--run", "x"], "not allowed with"),
        (["train", "--preset", "demp"], "did you mean demo"),
        (["train", "--preset", "demo", "--config", "/nowhere.yaml"], "/nowhere.yaml does not exist"),
        (["train", "--preset", "nothing", "--config", "meld"], "preset 'nothing' is unknown"),
        (["train", "--run", "gone"], "no run 'gone'"),
        (["config", "show", "meldd"], "did you mean meld"),
        (["config", "show", "demo", "meld"], "`dual-hpc config diff demo meld`"),
        (["config", "show", "gone"], "no run 'gone'"),
        (["config", "diff", "demo"], "write two names"),
        (["config", "diff", "demo", "meld", "--changed"], "--changed"),
        (["train", "--prest", "demo"], "--prest"),
        (["submit", "--preset", "demo", "optim.learning_rate=1"], "optim"),
        (["evaluate"], "RUN"),
        (["evaluate", "gone"], "no run 'gone'"),
        (["evaluate", "--model", "x"], "--shards"),
        (["predict", "--model", "x"], "--input"),
        (["predict", "--model", "x", "--input", "/nowhere.mp4"], "/nowhere.mp4"),
        (["inspect", "/nowhere"], "/nowhere"),
        (["ui"], "mlflow.db"),
        *(
            ([verb, "gone"], "no run, sweep or job 'gone'")
            for verb in ("status", "logs", "why", "diagnose", "stop", "resume", "cancel")
        ),
        (["sync", "gone"], "no run 'gone'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(words: list[str], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    try:
        code: object = command.main(words)
    except SystemExit as left:
        code = left.code
    line = capfd.readouterr().err
    assert code == 2
    assert line.startswith("dual-hpc: error: ") and line.count("\n") == 1
    assert said in line


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("a\nb"), 2),
        (EnvironmentFault("full"), 1),
        (OSError(28, "No space left on device", "/x"), 1),
        (KeyError("x"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_every_failure_is_one_line_and_its_trace_is_kept(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from launch.cli import runs

    def fail(args: object) -> int:
        raise error

    monkeypatch.setattr(runs, "run", fail)
    assert command.main(["runs"]) == code
    assert capfd.readouterr().err.count("\n") == 1
    log = tmp_path / "state" / "dual_hpc" / "dual-hpc.log"
    assert isinstance(error, KeyboardInterrupt) or type(error).__name__ in log.read_text()


@pytest.mark.parametrize(("script", "verb"), [("train", "train"), ("evaluate", "evaluate"), ("inference", "predict")])
def test_the_scripts_are_the_verbs(script: str, verb: str, tmp_path: Path) -> None:
    path = ROOT / "launch" / f"{script}.py"
    done = subprocess.run([sys.executable, path, "--help"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and f"dual-hpc {verb}" in done.stdout


def test_a_pipe_that_closes_early_is_not_an_error(tmp_path: Path) -> None:
    program = f"{sys.executable} -m launch.cli.main --help | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, cwd=ROOT, env=dict(os.environ))
    assert done.stderr == "" and done.stdout.strip() in ("0", "141")


def test_an_empty_store_has_no_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["runs", "--json"]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == []
