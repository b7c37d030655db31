"""The audit finds the side that was planted, and says so when the pictures do not tell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from shards.audit import Audit, Vote, audit_sides, choose_dialogues, describe, motion_log_ratio, weighted_mean
from shards.plan import Planned, Source

ROWS = (0.25, 0.75)


def dialogue(folder: Path, number: int, named_side: str | None) -> list[Planned]:
    """Four turns of two seconds by turns; both heads sway, only the speaker's mouth moves (none: both alike)."""
    rng = np.random.default_rng(number)
    name = f"Ses01F_impro{number:02d}"
    with av.open(str(folder / f"{name}.avi"), "w") as container:
        stream = container.add_stream("mpeg4", rate=15, options={"qscale": "3"})
        stream.width, stream.height, stream.pix_fmt = 192, 128, "yuv420p"
        for i in range(8 * 15):
            speaker = "named" if i // 30 % 2 == 0 else "other"
            picture = np.full((128, 192, 3), 60, np.uint8)
            for side, left in (("left", 0), ("right", 96)):
                actor = "named" if side == named_side else "other"
                sway = round(6 * np.sin(i / 5 + left))
                picture[40:92, left + 28 + sway : left + 68 + sway] = 180
                if named_side is None or actor == speaker:
                    opened = int(rng.integers(2, 14))
                    picture[72 : 72 + opened, left + 40 + sway : left + 56 + sway] = 20
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    soundfile.write(folder / f"{name}.wav", rng.normal(0, 0.1, 32_000).clip(-1, 1), 16_000)
    sound = Source(folder / f"{name}.wav")
    turns = ((0.0, "named"), (2.0, "other"), (4.0, "named"), (6.0, "other"))
    return [
        Planned(
            f"{name}_{at:.0f}", {"dialogue": name}, sound, Source(folder / f"{name}.avi", at, at + 2.0), None, actor
        )
        for at, actor in turns
    ]


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_planted_side_is_found(tmp_path: Path, side: str) -> None:
    turns = [planned for number in range(8) for planned in dialogue(tmp_path, number, side)]
    audit = audit_sides(choose_dialogues(turns, 8), ROWS)
    assert len(audit.votes) == 8 and audit.named_side == side and audit.p < 0.01
    assert f"pack with --named-side {side}" in describe(audit)


def test_pictures_that_do_not_decide_give_no_answer(tmp_path: Path) -> None:
    turns = [planned for number in range(4) for planned in dialogue(tmp_path, number, None)]
    audit = audit_sides(choose_dialogues(turns, 4), ROWS)
    assert audit.named_side is None and "do not decide" in describe(audit)


def test_unreadable_media_are_listed_and_do_not_vote(tmp_path: Path) -> None:
    turns = dialogue(tmp_path, 0, "left")
    (tmp_path / "Ses01F_impro00.avi").write_bytes(b"")
    audit = audit_sides(choose_dialogues(turns, 1), ROWS)
    assert audit.votes == [] and len(audit.unreadable) == 4 and audit.p == 1.0


def test_dialogues_that_cannot_vote_are_counted(tmp_path: Path) -> None:
    turns = [planned for number in range(3) for planned in dialogue(tmp_path, number, "left")]
    alone = [
        planned for planned in turns if planned.fields["dialogue"] == "Ses01F_impro00" and planned.actor == "named"
    ]
    still = [replace(p, video=Source(still_video(tmp_path), *turn_of(p))) for p in turns if "impro01" in p.key]
    votes = [planned for planned in turns if "impro02" in planned.key]
    audit = audit_sides(choose_dialogues([*alone, *still, *votes], 3), ROWS)
    assert [vote.dialogue for vote in audit.votes] == ["Ses01F_impro02"]
    assert "left 1, right 0, p = 1; 2 of 3 dialogues do not vote" in describe(audit)
    assert "pack with" not in describe(audit_sides(choose_dialogues(still, 9), ROWS))
    assert describe(audit_sides({}, ROWS)).startswith("no dialogue can be asked")


def turn_of(planned: Planned) -> tuple[float | None, float | None]:
    assert planned.video is not None
    return planned.video.start, planned.video.end


def still_video(folder: Path) -> Path:
    """Eight seconds in which nothing moves."""
    path = folder / "still.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=15)
        stream.width, stream.height, stream.pix_fmt = 192, 128, "yuv420p"
        for _ in range(8 * 15):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((128, 192, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode())
    return path


def test_few_votes_are_no_answer() -> None:
    votes = [Vote(str(i), 1.0, 0.0) for i in range(7)]
    assert Audit(votes[:6], []).named_side is None and Audit([*votes, votes[0]], []).named_side == "left"


def test_what_moves_alike_in_both_turns_says_nothing() -> None:
    still = np.full((12, 16), 2.0)
    assert motion_log_ratio(still, still) == 0.0
    mouth = still.copy()
    mouth[8, 8] = 9.0
    assert motion_log_ratio(mouth, still) > 0.5 and motion_log_ratio(still, mouth) == pytest.approx(
        -motion_log_ratio(mouth, still)
    )


def test_motion_is_weighed_by_loudness_and_not_by_the_gain_of_the_recording() -> None:
    change, weight = np.array([[1.0, 5.0], [2.0, 6.0], [9.0, 7.0]]), np.array([0.1, 0.0, 0.3])
    loud = weighted_mean(change, weight)
    assert loud == pytest.approx([7.0, 6.5], abs=0.01)
    assert weighted_mean(change, weight * 1e-5) == pytest.approx(loud)
    assert weighted_mean(change, 0 * weight) == pytest.approx([4.0, 6.0])
