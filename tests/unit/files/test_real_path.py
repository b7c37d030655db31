"""Links that lead in a circle, wherever a user names a path: one clear line, no trace."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dual_hpc.files.real_path import real_path
from launch.cli.main import main
from launch.doctor import writable
from tests.unit.test_architecture import ROOT

OWN_FILE = re.compile(r"__file__\)\.resolve\(\)")


def test_a_circle_stays_and_everything_else_is_followed(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    for name in ("loop", "one", "two"):
        assert real_path(tmp_path / name / "more").is_absolute()
    assert real_path(tmp_path / "link" / ".." / "new") == (tmp_path / "new").resolve()
    assert real_path(str(tmp_path / "link")) == (tmp_path / "folder").resolve()


@pytest.mark.parametrize(
    "words",
    [
        "predict --model MODEL --watch LOOP --output out.jsonl",
        "predict --model MODEL --watch . --output LOOP",
        "predict --model MODEL --watch . --output LOOP.jsonl",
        "predict --model MODEL --input LOOP",
        "predict --model MODEL --input LOOP/clip.mp4 --output LOOP",
        "predict --model LOOP --input clip.mp4",
        "predict --model LOOP/run --input clip.mp4",
        "serve --model LOOP",
        "ui --store LOOP",
        "runs --store LOOP",
        "sync LOOP/runs/first",
        "pack manifest LOOP --out shards",
        "pack iemocap LOOP --out shards",
        "pack features LOOP --out shards",
        "pack manifest rows.csv --out LOOP",
        "extract LOOP --out features --preset demo",
        "evaluate --model LOOP --shards LOOP --out LOOP",
        "train --preset demo --shards LOOP name=one store=LOOP",
        "train --preset demo --shards LOOP name=one store=LOOP/store",
        "train --config LOOP",
        "config init LOOP --shards LOOP",
        "ckpt ls LOOP",
        "ckpt accept LOOP",
        "report LOOP",
        "status LOOP",
        "watch LOOP",
        "inspect LOOP",
    ],
)
def test_every_command_says_it_in_one_line(
    words: str,
    saved_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DUAL_STORE", str(tmp_path / "store"))
    for name in ("LOOP", "LOOP.jsonl"):
        (tmp_path / name).symlink_to(name)
    (tmp_path / "rows.csv").write_text("audio,label\nLOOP,happy\n")
    code = main([str(saved_model) if word == "MODEL" else word for word in words.split()])
    said = capsys.readouterr().err.strip()
    assert code in (1, 2) and said
    assert "internal error" not in said and "Traceback" not in said and len(said.splitlines()) <= 2


@pytest.mark.parametrize("target", ["link", "absent"])
@pytest.mark.parametrize("below", [".", "a/b"])
def test_the_doctor_names_a_store_that_leads_nowhere(tmp_path: Path, target: str, below: str) -> None:
    (tmp_path / "link").symlink_to(target)
    found = writable(tmp_path / "link" / below)
    assert found.state == "missing" and found.found == f"{tmp_path / 'link'} is a link that leads nowhere"


def test_nobody_follows_links_otherwise() -> None:
    found = []
    for package in ("launch", "dual_hpc", "shards", "slurm"):
        for path in (ROOT / package).rglob("*.py"):
            lines = path.read_text(encoding="utf-8").splitlines()
            found += [f"{path}: {line}" for line in lines if ".resolve()" in line and not OWN_FILE.search(line)]
    assert not found, "real_path of dual_hpc/files does not raise at a circle of links"
