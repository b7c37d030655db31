"""Two hundred and more inputs that are odd: each is answered, or is one clear line that names it; nothing hangs, memory
stays what it is for one clip, and the others are answered as if they were alone.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from resource import RLIMIT_CPU, setrlimit
from typing import Any

import pytest

from dual_hpc.data.decoding.container import UnreadableMedia, probe
from dual_hpc.errors import UserError
from dual_hpc.inference.batch import answer_all
from dual_hpc.inference.predictor import Predictor
from dual_hpc.inference.requests import BadRequest, Clip
from dual_hpc.inference.served_clips import answer_clips
from dual_hpc.printable import printable
from launch.cli.main import main
from launch.cli.predict import without_earlier_answers
from tests.media.odd_files import Odd, write_odd
from tests.unit.other_user import as_other_user, needs_root

ROOT = Path(__file__).parents[3]
GROUPS = ("recordings", "damaged", "lying_headers", "other_content", "names", "no_files")
_LINE = 700  # characters: what one can read
_MOST_CPU = 120  # seconds of a processor; a machine that is busy makes nothing hang


@pytest.fixture(scope="module")
def predictor(saved_model: Path) -> Predictor:
    return Predictor.from_pretrained(saved_model, device="cpu")


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[Odd]]]:
    """Group -> its inputs."""
    folder = tmp_path_factory.mktemp("odd")
    found: dict[str, list[Odd]] = {group: [] for group in GROUPS}
    for one in write_odd(folder):
        parts = one.path.relative_to(folder).parts
        found[parts[0] if len(parts) > 1 else "recordings"].append(one)
    assert sum(map(len, found.values())) > 250 and all(found.values())
    yield found


def check(one: Odd, record: Mapping[str, Any]) -> None:
    """An answer, or one line that says which file and why."""
    error = record.get("error")
    if one.expected != "either":
        assert (error is None) == (one.expected == "answer"), (one, record)
    if error is None:
        assert sum(record["probabilities"].values()) == pytest.approx(1, abs=1e-3)
        assert record["modalities"], (one, record)
        return
    assert printable(error).isprintable() and len(error) < _LINE, one
    assert printable(one.path.name)[:150] in printable(error), (one, error)
    wrong = r"Traceback|Errno|object at 0x|Error:|at -\d|not permitted|Input/output"  # the last two: as if of a disk
    assert not re.search(wrong, error), (one, error)


@pytest.mark.parametrize("group", GROUPS)
def test_each_is_answered_or_a_line_that_names_it(
    predictor: Predictor, odd: dict[str, list[Odd]], group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, errors = io.StringIO(), io.StringIO()
    code = answer_all(predictor, [Clip(one.path) for one in odd[group]], out, errors)
    records = [json.loads(line) for line in out.getvalue().splitlines()]
    assert len(records) == len(odd[group])
    for one, record in zip(odd[group], records, strict=True):
        check(one, record)
    failed = sum("error" in record for record in records)
    assert len(errors.getvalue().splitlines()) == failed and code == (2 if failed else 0)


@pytest.mark.slow
def test_the_command_answers_them_all_in_the_memory_of_one(
    saved_model: Path, odd: dict[str, list[Odd]], tmp_path: Path
) -> None:
    # JSON can name no file whose name is no text.
    every = [one for group in odd.values() for one in group if _is_text(one.path)]
    peaks, records = {}, []
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for name, asked in {"one": every[:1], "all": every}.items():
        lines = [json.dumps({"input": str(one.path), "number": number}) for number, one in enumerate(asked)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
        words = ["--model", saved_model, "--input", tmp_path / f"{name}.jsonl", "--output", tmp_path / f"{name}.out"]
        command = [sys.executable, "-m", "launch.inference", *map(str, words), "--device", "cpu"]
        with (tmp_path / "errors").open("w") as errors:
            limits = (RLIMIT_CPU, (_MOST_CPU, _MOST_CPU))
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stderr=errors, preexec_fn=partial(setrlimit, *limits)
            )
            try:
                _, status, used = os.wait4(process.pid, 0)
            except BaseException:
                process.kill()
                raise
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == (2 if len(asked) > 1 else 0), (tmp_path / "errors").read_text()
        peaks[name] = used.ru_maxrss / 1024
        records = [json.loads(line) for line in (tmp_path / f"{name}.out").read_text().splitlines()]
    assert [record["number"] for record in records] == list(range(len(every)))
    for one, record in zip(every, records, strict=True):
        check(one, record)
    print(f"{len(every)} inputs: {peaks['all']:.0f} MiB, {used.ru_utime:.0f} s; one: {peaks['one']:.0f} MiB")
    assert peaks["all"] < 1.5 * peaks["one"] + 100


def _is_text(path: Path) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in str(path))


@pytest.mark.parametrize("name", ["loop.wav", "nul\0.wav", "\ud800.wav", "x" * 5000, "pipe.wav", "absent/a.wav"])
def test_an_output_file_is_compared_with_every_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    asked: list[Clip | BadRequest] = [Clip(tmp_path / name), Clip(tmp_path / "a.jsonl")]
    assert without_earlier_answers(tmp_path / "a.jsonl", [str(tmp_path)], asked) == asked[:1]


@pytest.mark.parametrize("group", GROUPS)
def test_long_recordings_are_odd_as_well(predictor: Predictor, odd: dict[str, list[Odd]], group: str) -> None:
    from dual_hpc.inference.recording import RecordingOptions
    from dual_hpc.inference.windows import Windowing

    out, options = io.StringIO(), RecordingOptions(Windowing(1.0, 0.5))
    asked = [one for one in odd[group] if "hour" not in one.path.name]
    answer_all(predictor, [Clip(one.path) for one in asked], out, io.StringIO(), recordings=options)
    records = [json.loads(line) for line in out.getvalue().splitlines()]
    by_input: dict[str, list[Any]] = {}
    for record in records:
        by_input.setdefault(record["input"], []).append(record)
    for one in asked:
        found = by_input[str(one.path)]
        assert len(found) < 200, (one, len(found))  # a damaged clock may claim minutes, and no days
        if one.expected != "either":
            assert ("error" in found[0]) == (one.expected == "line"), (one, found[0])


def test_a_served_model_answers_what_predict_answers(
    predictor: Predictor, odd: dict[str, list[Odd]], tmp_path: Path
) -> None:
    for group in ("recordings", "damaged", "lying_headers", "other_content"):
        for one in [one for one in odd[group] if "hour" not in one.path.name][::4]:
            content = base64.b64encode(one.path.read_bytes()).decode()
            try:
                (answer,) = answer_clips(predictor, [{"clip": content}], tmp_path)
            except UserError as error:
                assert one.expected != "answer" and str(error).startswith("row 1: "), (one, error)
                assert str(tmp_path) not in str(error) and "\n" not in str(error)
            else:
                assert one.expected != "line" and answer["probabilities"], (one, answer)
    assert not list(tmp_path.iterdir())


def test_packing_leaves_out_what_is_no_recording_and_says_which(odd: dict[str, list[Odd]], tmp_path: Path) -> None:
    rows = [one for name, group in odd.items() for one in group[:: 1 if name == "no_files" else 4]]
    rows = [one for one in rows if "hour" not in one.path.name and one.path.name.strip().isprintable()]
    with (tmp_path / "clips.csv").open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "audio", "video", "label"])
        for number, one in enumerate(rows):
            table.writerow([f"clip{number}", one.path, one.path, "happy" if number % 2 else "sad"])
    assert main(["pack", "manifest", str(tmp_path / "clips.csv"), "--out", str(tmp_path / "shards")]) == 0
    report = json.loads((tmp_path / "shards" / "report.json").read_text())
    skipped = {one["where"]: one["reason"] for one in report["skipped"]}
    assert report["packed"] + len(skipped) == len(rows) and report["packed"] > 30
    for line, one in enumerate(rows, 2):
        found = skipped.get(f"clip{line - 2}") or skipped.get(f"clips.csv:{line}")
        assert one.expected == "either" or (found is None) == (one.expected == "answer"), (one, found)
        assert found is None or "\n" not in found
    folders = [reason for reason in skipped.values() if "is a folder, not a file" in reason]
    assert folders and any("named pipe" in reason for reason in skipped.values())


@needs_root
def test_a_file_of_another_user_is_one_line(odd: dict[str, list[Odd]], tmp_path: Path) -> None:
    path = tmp_path / "theirs.wav"
    path.write_bytes(odd["names"][-1].path.read_bytes())
    path.chmod(0)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        if not folder.stat().st_mode & 0o001 and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)

    def asked() -> str:
        try:
            return str(probe(path))
        except UnreadableMedia as error:
            return f"one line: {error}"

    said = as_other_user(asked)
    assert said.startswith("one line: ") and "theirs.wav" in said and "ermission" in said, said
