from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from dual_hpc.errors import UserError
from launch.cli.main import main as command
from shards.synthetic import Summary, generate

pytestmark = pytest.mark.slow


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_seed_gives_the_same_bytes_for_any_number_of_workers(iemocap: Summary, tmp_path: Path) -> None:
    again = generate("iemocap", tmp_path / "again", utterances=20, seed=3, workers=2, progress=False)
    assert digests(again.folder) == digests(iemocap.folder)
    assert again.plan.read_bytes() == iemocap.plan.read_bytes()


@pytest.mark.parametrize("corpus", ["iemocap", "meld"])
def test_another_seed_gives_another_corpus(tmp_path: Path, corpus: str) -> None:
    one, other = (generate(corpus, tmp_path / str(s), 40, s, media="tiny", progress=False) for s in (0, 1))  # type: ignore[arg-type]
    assert digests(one.folder) != digests(other.folder)


def test_the_plan_lies_beside_the_corpus_and_tells_what_was_planted(iemocap: Summary) -> None:
    assert iemocap.plan == iemocap.folder.parent / f"{iemocap.folder.name}.plan.jsonl"
    rows = [json.loads(line) for line in iemocap.plan.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == iemocap.utterances and sum(iemocap.labels.values()) == len(rows)
    for row in rows:
        assert row["mechanism"] in ("static", "dynamics", "none")
        assert row["text_role"] in ("redundant", "uninformative", "misleading")
        assert (row["dynamics"] == "flat") is (row["mechanism"] == "static") or row["label"] == "xxx"


def test_the_summary_counts_what_lies_on_the_disk(iemocap: Summary) -> None:
    files = [path for path in iemocap.folder.rglob("*") if path.is_file()]
    assert iemocap.files == len(files) and iemocap.bytes == sum(path.stat().st_size for path in files)


def test_a_tiny_corpus_of_full_size_takes_little_space(tmp_path: Path) -> None:
    summary = generate("meld", tmp_path / "MELD", 2500, media="tiny", progress=False)
    assert summary.utterances == 2500 and summary.files > 2500 and summary.bytes < 5e6
    assert not list(summary.folder.glob(".tiny*"))


def test_mistakes_are_one_line_that_says_what_to_change(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="iemocap or meld"):
        generate("mosei", tmp_path / "x")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="20 or more"):
        generate("meld", tmp_path / "x", utterances=5)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    with pytest.raises(UserError, match="not an empty folder"):
        generate("meld", tmp_path / "full")
    assert [p.name for p in tmp_path.iterdir()] == ["full"]


def test_the_command_writes_what_its_arguments_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "corpus"
    words = ["synth", "iemocap", "--out", str(out), "--utterances", "40", "--media", "tiny", "--layout", "short"]
    assert command(words) == 0
    assert "40 utterances" in capsys.readouterr().out
    assert {path.name for path in out.iterdir()} == {"Audio", "Video", "Transcriptions"}
    assert command(words) == 2 and "is not an empty folder" in capsys.readouterr().err
