"""Which build of torch `make setup` installs; pip is pretended."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from requirements import install
from requirements.pins import CONSTRAINTS, read_pins

RELEASE = read_pins(CONSTRAINTS.read_text(encoding="utf-8"))["torch"].version


class Pip:
    """What pip was asked to install, in order, with the text of the files of pins; `fails` at a word."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, takes: str) -> None:
        self.asked: list[list[str]] = []
        self.files: dict[str, str] = {}
        self.takes, self.fails = takes, ""
        monkeypatch.setattr(subprocess, "run", self.run)

    def run(self, command: list[str], **more: Any) -> subprocess.CompletedProcess[str]:
        words = command[5:]
        self.asked.append(words)
        if "--requirement" in words:
            path = Path(words[words.index("--requirement") + 1])
            self.files[path.name if "torch" in path.name or "lock" in path.name else "exact"] = path.read_text()
        failed = bool(self.fails) and any(self.fails in word for word in words)
        report = json.dumps({"install": [{"metadata": {"version": self.takes}}]})
        return subprocess.CompletedProcess(command, 1 if failed else 0, report if "--dry-run" in words else "")


def test_without_a_word_pip_decides_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    pip = Pip(monkeypatch, f"{RELEASE}+cpu")
    assert install.main([]) == 0 and {"lock.txt", "torch-cpu.txt"} <= set(pip.files)
    pip.takes = RELEASE
    assert install.main([]) == 0 and "torch.txt" in pip.files


def test_the_cuda_13_build_is_asked_for_where_pip_would_prefer_another(monkeypatch: pytest.MonkeyPatch) -> None:
    pip = Pip(monkeypatch, f"{RELEASE}+cpu")
    assert install.main(["--torch", "cu130"]) == 0
    assert f"\ntorch==={RELEASE} \\\n" in pip.files["exact"] and "nvidia-cudnn-cu13==" in pip.files["exact"]
    assert not any("--dry-run" in words for words in pip.asked)


def test_the_build_for_the_cpu_has_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    pip = Pip(monkeypatch, RELEASE)
    assert install.main(["--torch", "cpu"]) == 0
    assert f"torch=={RELEASE}+cpu" in pip.files["torch-cpu.txt"] and "torch.txt" not in pip.files


def test_a_build_whose_hashes_are_not_known_is_installed_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pip = Pip(monkeypatch, RELEASE)
    assert install.main(["--torch", "cu126"]) == 0
    assert any(words[-1] == f"torch==={RELEASE}+cu126" and str(CONSTRAINTS) in words for words in pip.asked)
    assert "lock.txt" in pip.files and "torch-cu126.txt is not there" in capsys.readouterr().err
    pip.fails = "cu126"
    with pytest.raises(SystemExit):
        install.main(["--torch", "cu126"])
    assert "PyTorch's own index" in capsys.readouterr().err


def test_without_hashes_the_word_counts_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    pip = Pip(monkeypatch, RELEASE)
    assert install.main(["--torch", "cu126", "--no-hashes"]) == 0
    assert any(f"torch==={RELEASE}+cu126" in words for words in pip.asked) and pip.files == {}
