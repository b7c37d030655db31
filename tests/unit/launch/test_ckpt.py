"""`dual-hpc ckpt`: what it says about checkpoints, and what it never deletes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dual_hpc.checkpoint import commit, select
from dual_hpc.config import load_config
from dual_hpc.files.digest import FileDigest, HashingWriter
from dual_hpc.group import SingleProcess
from dual_hpc.model_manifest import write_manifest
from dual_hpc.run.directory import RunDir
from dual_hpc.run.lease import Lease
from launch.cli import main as command


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    """A run with checkpoints of steps 3, 6 and 9, and an unfinished one."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    run = RunDir.create(tmp_path / "runs" / "trial", load_config("demo", ["name=trial"]))

    def write(folder: Path) -> dict[str, FileDigest]:
        file = HashingWriter(folder / "x.pt")
        file.write(b"content")
        return {"x.pt": file.finish()}

    for step in (3, 6, 9):
        commit.save(run.checkpoints, SingleProcess(), write, step=step, zero_stage=0, precision="fp32", state={})
    (run.checkpoints / "step_00000012.tmp").mkdir()
    return run


def ckpt(run: RunDir, *words: str) -> int:
    return command.main(["ckpt", words[0], str(run.path), *words[1:]])


def test_checkpoints_are_listed_and_verified(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    assert ckpt(run, "ls") == 0 and ckpt(run, "verify") == 0
    said = capsys.readouterr().out
    assert said.count("step_0000000") == 6 and said.count("verified") == 3 and "ZeRO 0" in said


def test_a_damaged_one_is_named_and_fails(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    (run.checkpoints / "step_00000006" / "x.pt").write_bytes(b"CONTENT")
    assert ckpt(run, "verify") == 1
    assert "step_00000006  DAMAGED: x.pt has other content" in capsys.readouterr().out


def test_pruning_keeps_so_many_verified_ones_and_everything_newer(run: RunDir) -> None:
    (run.checkpoints / "step_00000009" / "x.pt").unlink()
    assert ckpt(run, "prune", "--keep", "1") == 0
    assert select.steps(run.checkpoints) == [6, 9]
    assert not list(run.checkpoints.glob("*.tmp")) and not (run.path / "lease.json").exists()


def test_pruning_loads_neither_torch_nor_deepspeed(run: RunDir) -> None:
    script = (
        "import sys; from launch.cli import main; code = main.main(['ckpt', 'prune', sys.argv[1]]);"
        "print(code, *(name for name in ('torch', 'deepspeed') if name in sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", script, str(run.path)], capture_output=True, text=True, timeout=300)
    assert (said.stdout.splitlines()[-1], said.stderr) == ("0", "")


def test_pruning_never_deletes_the_last_or_what_a_job_is_writing(
    run: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ckpt(run, "prune", "--keep", "0") == 2
    lease = Lease.acquire(run.path, "77", 0, lost=print)
    assert ckpt(run, "prune") == ckpt(run, "convert", "--ranks", "4") == 2
    assert "job 77 works on this run" in capsys.readouterr().err
    lease.release()
    assert select.steps(run.checkpoints) == [3, 6, 9]


def test_a_conversion_needs_a_number_and_zero_0_needs_none(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    assert ckpt(run, "convert") == 2
    assert ckpt(run, "convert", "--ranks", "4") == 0
    assert capsys.readouterr().out.strip().endswith("step_00000009")


def test_a_run_without_checkpoints_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = RunDir.create(tmp_path / "runs" / "empty", load_config("demo", ["name=empty"]))
    assert ckpt(empty, "ls") == ckpt(empty, "verify") == ckpt(empty, "prune") == 0
    assert capsys.readouterr().out == "empty has no checkpoint yet\n" * 2
    assert ckpt(empty, "convert", "--ranks", "2") == ckpt(empty, "export") == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ls", "--keep", "2"], "--keep: is an option of `ckpt prune`, not of `ckpt ls`"),
        (["prune", "--out", "x"], "--out: is an option of `ckpt export`"),
        (["prune", "--keep", "-1"], "--keep: at least 1"),
        (["prune", "--keep", "two"], "invalid int value"),
        (["convert", "--ranks", "0"], "--ranks"),
        (["export", "--step", "4"], "no checkpoint of step 4 (there are: 3, 6, 9)"),
        (["export", "--out", "{run}"], "--out: {run} exists"),
        (["destroy"], "invalid choice: 'destroy'"),
    ],
)
def test_a_mistake_is_one_line_that_names_what_to_change(
    run: RunDir, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: object = ckpt(run, *(word.format(run=run.path) for word in words))
    except SystemExit as left:
        code = left.code
    assert code == 2
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1 and said.format(run=run.path) in complaint


def saved_model(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "dual"}')
    (folder / "model.safetensors").write_bytes(b"weights")
    write_manifest(folder)
    return folder


def test_the_models_of_a_run_are_verified_with_its_checkpoints(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    saved_model(run.exports / "step_00000009")
    (run.exports / "best").symlink_to("step_00000009")
    saved_model(run.exports / "checkpoint-6")
    assert ckpt(run, "verify") == 0
    said = capsys.readouterr().out
    assert "export/best  verified" in said and "export/checkpoint-6  verified" in said and said.count("verified") == 5
    (run.exports / "best" / "model.safetensors").write_bytes(b"WEIGHTS")
    assert ckpt(run, "verify") == 1
    assert "export/best  DAMAGED: model.safetensors has other content" in capsys.readouterr().out


def test_a_saved_model_is_verified_and_a_change_on_purpose_is_accepted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = saved_model(tmp_path / "model")
    assert command.main(["ckpt", "verify", str(folder)]) == 0
    (folder / "config.json").write_text('{"model_type": "dual", "temperature": 2, "manifest": "manifest.json"}')
    assert command.main(["ckpt", "verify", str(folder)]) == 1
    assert command.main(["ckpt", "accept", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "DAMAGED: config.json" in said and "accepted: config.json has" in said
    assert command.main(["ckpt", "verify", str(folder)]) == 0


def test_only_a_saved_model_can_be_accepted(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    assert ckpt(run, "accept") == 2
    assert "not the folder of a saved model" in capsys.readouterr().err
