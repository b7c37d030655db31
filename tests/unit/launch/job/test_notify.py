"""The user's own command at the end of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from launch.job import notify as module
from launch.job.notify import notify


def test_the_command_is_told_which_run_ended_how_and_no_shell_reads_it(tmp_path: Path) -> None:
    out = tmp_path / "a b"
    script = 'printf "%s|" "$DUAL_NAME" "$DUAL_STATE" "$DUAL_MESSAGE" "$1" > "$2"'
    command = f"sh -c '{script}' x '$(touch {tmp_path}/evil); *' '{out}'"
    notify(command, tmp_path / "trial", "failed", "one\nline; $(touch /evil)")
    assert out.read_text() == f"trial|failed|one line; $(touch /evil)|$(touch {tmp_path}/evil); *|"
    assert not (tmp_path / "evil").exists()
    notify(None, tmp_path, "finished")


@pytest.mark.parametrize("command", ["gone-1", "false", "sleep 60", "'", "cat /dev/null/x"])
def test_a_command_that_fails_changes_nothing(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "NOTIFY_SECONDS", 0.2)
    notify(command, tmp_path, "finished")
    assert "launch.notify: the command failed (" in capfd.readouterr().err
