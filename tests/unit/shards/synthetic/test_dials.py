"""The dials of a synthetic corpus: each moves what it names and nothing else, and is recorded where it was turned."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dual_hpc.data.format.index import read_index
from dual_hpc.errors import UserError
from launch.cli.main import main as command
from shards.options import PackOptions
from shards.packing import pack
from shards.synthetic import Dials, generate
from shards.synthetic.dials import FILE, recorded_dials
from shards.synthetic.emotions import LEVELS, perform
from shards.synthetic.faces import STEER, speaking
from shards.synthetic.iemocap_plan import plan as iemocap_plan
from shards.synthetic.meld_plan import plan as meld_plan
from shards.synthetic.speech import Voice, speak

# Of corpora that were made before there were dials.
SHARED = Dials(movement="shared")
PLANS = {"iemocap": "ab0d0bd7903dd1e6", "meld": "32564aac549b1032"}


def roles(dials: Dials) -> Counter[str]:
    dialogues = iemocap_plan(600, 1, True, True, dials)
    rows = meld_plan(600, 1, True, True, False, dials)
    return Counter([t.planned.role for d in dialogues for t in d.turns] + [row.planned.role for row in rows])


@pytest.mark.parametrize("corpus", ["iemocap", "meld"])
def test_with_all_dials_at_their_defaults_a_corpus_is_as_before(corpus: str, tmp_path: Path) -> None:
    summary = generate(corpus, tmp_path / corpus, 240, media="tiny", progress=False)  # type: ignore[arg-type]
    assert hashlib.sha256(summary.plan.read_bytes()).hexdigest().startswith(PLANS[corpus])
    assert not (summary.folder / FILE).exists() and recorded_dials(summary.folder) is None


@pytest.mark.parametrize(("knows", "lies"), [(0.9, 0.1), (0.2, 0.0), (0.0, 0.6), (0.0, 0.0), (1.0, 0.0)])
def test_text_names_the_emotion_and_lies_as_often_as_was_said(knows: float, lies: float) -> None:
    found = roles(Dials(text_knows=knows, text_lies=lies))
    for role, share in (("redundant", knows), ("misleading", lies), ("uninformative", round(1 - knows - lies, 9))):
        assert found[role] / found.total() == pytest.approx(share, abs=0.05 if 0 < share < 1 else 0)


@pytest.mark.parametrize("dial", ["voice", "face"])
def test_a_weaker_voice_or_face_tells_less_and_leaves_the_other_as_it_was(dial: str) -> None:
    shown = {
        strength: perform(np.random.default_rng(3), "sadness", 2.0, dials=Dials(**{dial: strength}))  # type: ignore[arg-type]
        for strength in (1.0, 0.5, 0.0)
    }
    ours, other = ("audio_level", "video_level") if dial == "voice" else ("video_level", "audio_level")
    middle = LEVELS["middle"]
    distance = [abs(getattr(shown[s], ours).semitones - middle.semitones) for s in (1.0, 0.5, 0.0)]
    assert distance[0] > distance[1] > distance[2] == 0
    assert getattr(shown[0.0], ours) == middle
    assert getattr(shown[0.0], other) == getattr(shown[1.0], other)


def test_at_strength_0_all_emotions_move_alike() -> None:
    times = np.linspace(0, 400, 40_000)
    rising, falling, flat = (
        perform(np.random.default_rng(1), name, 400.0).activation(times, False, 0.0)
        for name in ("joy", "anger", "sadness")
    )
    assert np.mean(np.diff(rising) > 0) == pytest.approx(np.mean(np.diff(falling) > 0), abs=0.02)
    assert flat.std() == pytest.approx(rising.std(), rel=0.05)


def test_with_shared_movement_pitch_and_head_follow_one_course_that_does_not_know_the_emotion() -> None:
    times = np.arange(0, 2, 0.02)
    courses = []
    for name in ("anger", "joy", "sadness"):
        shared = perform(np.random.default_rng(5), name, 2.0, dials=SHARED)
        plain = replace(shared, waves=())
        heads = [speaking(np.random.default_rng(0), one, times).x for one in (shared, plain)]
        moved = (heads[0] - heads[1]) / STEER
        np.testing.assert_allclose(moved, shared.course(times), atol=1e-9)
        assert np.ptp(moved) > 0.3 and np.abs(moved).max() <= 1 and not plain.course(times).any()
        voices = [speak(np.random.default_rng(0), Voice(150.0, 1.0), one) for one in (shared, plain)]
        assert not np.allclose(voices[0], voices[1])
        courses.append(moved)
    np.testing.assert_allclose(courses[0], courses[1], atol=1e-9)


@pytest.mark.parametrize(
    ("dials", "said"),
    [
        ({"text_knows": 1.2}, r"^--text-knows: 1\.2 is not a share from 0 to 1"),
        ({"face": -0.1}, r"^--face: -0\.1 is not a share"),
        ({"voice": float("nan")}, r"^--voice: nan is not a share"),
        (
            {"text_knows": 0.7, "text_lies": 0.4},
            r"^--text-knows=0\.7 and --text-lies=0\.4 are more than all utterances",
        ),
        ({"movement": "wild"}, r"^--movement: 'wild' is not one of regular, shared"),
    ],
)
def test_a_dial_that_cannot_be_turned_so_is_refused(dials: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        Dials(**dials)  # type: ignore[arg-type]


@pytest.mark.parametrize("corpus", ["iemocap", "meld"])
def test_dials_are_recorded_in_the_corpus_and_the_index_of_its_shards(
    corpus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw, out = tmp_path / "raw", tmp_path / "shards"
    words = ["synth", corpus, "--out", str(raw), "--utterances", "24", "--media", "tiny", "--clean", "--face", "0.25"]
    assert command(words) == 0
    said = "text_knows 0.5, text_lies 0.15, voice 1.0, face 0.25, movement regular"
    assert f"dials: {said}" in capsys.readouterr().out
    assert json.loads((raw / FILE).read_text())["face"] == 0.25
    report = pack(corpus, raw, out, PackOptions(), progress=False)
    assert report is not None and not [skip for skip in report.skipped if FILE in skip.where]
    assert not [note for note in report.notes if FILE in note]
    assert read_index(out).options["synthetic"] == said
    assert f"synthetic: {said}" in (out / "report.md").read_text()


@pytest.mark.parametrize("content", ["", "[]", '{"face": 2}', '{"mouth": 1}', "{"])
def test_a_file_of_that_name_that_is_none_of_ours_says_nothing(content: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(content)
    assert recorded_dials(tmp_path) is None
