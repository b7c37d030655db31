"""The rows of MELD's test set that have two recordings: which is packed, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dual_hpc.errors import UserError
from launch.cli.main import main
from shards.corpora import meld as reader
from shards.options import PackOptions
from shards.packing import pack
from tests.unit.shards.conftest import MELD_HEADER

FOLDER = "output_repeated_splits_test"


@pytest.fixture
def twins(tmp_path: Path, put: Callable[[str, Path], Path]) -> Path:
    """Rows 0 to 4 of 0.8 s. Twins of 0, 1, 2 and 4: 0's is the right one, 1's the wrong one, 2's the same; 4 has no
    other. Clip 9 is of no row.
    """
    root = tmp_path / "MELD.Raw"
    (root / FOLDER).mkdir(parents=True)
    lines = [f'1,Hi,Ross,joy,positive,0,{u},1,1,"00:00:01,000","00:00:01,800"' for u in range(5)]
    (root / "test_sent_emo.csv").write_text("\n".join([MELD_HEADER, *lines]) + "\n")
    for utterance, plain, twin in ((0, "short", "clip"), (1, "clip", "short"), (2, "clip", "clip"), (3, "clip", "")):
        put(f"{plain}.mp4", root / FOLDER / f"dia0_utt{utterance}.mp4")
        if twin:
            put(f"{twin}.mp4", root / FOLDER / f"final_videos_testdia0_utt{utterance}.mp4")
    put("clip.mp4", root / FOLDER / "final_videos_testdia0_utt4.mp4")
    put("clip.mp4", root / FOLDER / "dia0_utt9.mp4")
    return root


def names(root: Path, choice: str | None) -> dict[int, str]:
    return {
        p.fields["utterance"]: p.video.path.stem for p in reader.read(root, test_twins=choice).utterances if p.video
    }


def test_the_user_chooses_between_twins(twins: Path) -> None:
    plain = {u: f"dia0_utt{u}" for u in range(4)}
    final = {u: f"final_videos_testdia0_utt{u}" for u in (0, 1, 2, 4)}
    assert names(twins, None) == names(twins, "plain") == {**final, **plain}
    assert names(twins, "final") == {**plain, **final}
    with pytest.raises(UserError, match="--test-twins: 'both' is not one of plain, final"):
        reader.read(twins, test_twins="both")


def test_twins_are_counted_and_compared_by_the_annotated_length(twins: Path) -> None:
    notes = reader.read(twins).notes
    assert notes[-2:] == [
        "5 clips of test have no annotation under their own name: 4 named final_videos_test... are twins of annotated "
        "rows, 1 others are ignored. Which twin is right is disputed; of 3 rows that have both, the plain one is "
        "packed (--test-twins final packs the twin). By StartTime and EndTime the twin's length is nearer in 1 rows, "
        "the plain one's in 1, and both are alike (within 0.1 s) in 1",
        "1 rows of test have no other clip than a twin, which is packed: test_dia0_utt4 ...",
    ]


def test_the_choice_is_recorded_and_another_one_is_another_data_set(
    twins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = PackOptions(video_size=24)
    report = pack("meld", twins, tmp_path / "plain", small)
    assert report is not None and report.options["test_twins"] == "plain"
    final = pack("meld", twins, tmp_path / "final", small, choices={"test_twins": "final"})
    assert final is not None and final.options["test_twins"] == "final" and final.dataset_id != report.dataset_id
    with pytest.raises(UserError, match="of another source or with other options"):
        pack("meld", twins, tmp_path / "plain", small, choices={"test_twins": "final"})
    assert main(["inspect", str(tmp_path / "final"), "--verify"]) == 0
    assert main(["pack", "iemocap", str(twins), "--test-twins", "final", "--out", str(tmp_path / "x")]) == 2
    assert "--test-twins: iemocap does not take it, only meld" in capsys.readouterr().err


def test_a_corpus_without_twins_records_no_choice(meld: Path) -> None:
    assert reader.read(meld).choices == {}
