"""Every place of a command that takes a name or a file, given what is none: an exit code and one printable line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from launch.cli.main import main

WORDS = {
    "too long": "x" * 5_000,
    "too deep": "y/" * 3_000,
    "pipe": "pipe.yaml",
    "device": "zero.yaml",
    "nested": "deep.yaml",
    "bytes": "bytes.yaml",
    "escape": "\x1b]0;owned\x07",
    "bidirectional": "\u202egpj.yaml",
    "two lines": "a\nb",
    "empty": "",
    "terminal": "/dev/tty",
    "kernel": "/proc/kmsg",
}
COMMANDS = [
    ["runs", "--store", "{}"],
    *([verb, "{}"] for verb in ("status", "logs", "why", "stop", "resume", "cancel", "sync", "inspect", "evaluate")),
    ["status", "a", "--store", "{}"],
    ["ckpt", "ls", "{}"],
    ["train", "--config", "{}"],
    ["train", "--run", "{}"],
    ["train", "--preset", "{}"],
    ["submit", "--preset", "demo", "--profile", "{}", "--dry-run"],
    ["submit", "--run", "{}"],
    ["sweep", "--show", "{}"],
    ["pack", "manifest", "{}", "--out", "out"],
    ["pack", "{}", "corpus"],
]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_hostile_word_costs_one_line(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DUAL_STORE", str(tmp_path / "store"))
    os.mkfifo("pipe.yaml")
    Path("zero.yaml").symlink_to("/dev/zero")
    Path("deep.yaml").write_text("[" * 100_000)
    Path("bytes.yaml").write_bytes(bytes(range(256)))
    for name, word in WORDS.items():
        try:
            code = main([part.replace("{}", word) for part in command])
        except SystemExit as left:  # argparse
            code = int(left.code or 0)
        said = capfd.readouterr()
        assert code in (0, 1, 2), name
        assert said.err.count("\n") == 1 or (code == 0 and not said.err), (name, said.err)
        assert not [c for c in said.out + said.err if not c.isprintable() and c != "\n"], name
        assert "internal error" not in said.err and "Traceback" not in said.err, (name, said.err)
