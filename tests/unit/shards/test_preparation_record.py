"""What packing did to clips is read off the index of their shards, of this version and of earlier ones."""

from __future__ import annotations

from pathlib import Path

from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.preparation.record import of_folders, of_index


def test_halves_are_known_from_the_shards(packed_iemocap: Path, packed_meld: Path) -> None:
    iemocap, meld = ShardDataset([packed_iemocap]).preparation, ShardDataset([packed_meld]).preparation
    assert iemocap is not None and iemocap.halves and iemocap.picture_rows == (0.25, 0.75)
    assert meld is not None and not meld.halves and meld.video_size == 24


def test_folders_that_were_packed_differently_say_in_what(packed_iemocap: Path, packed_meld: Path) -> None:
    both = ShardDataset([packed_iemocap, packed_meld]).preparation
    assert both is not None and both.halves and both.mixed == ("halves",)
    assert of_folders([both, None]) is None


def test_options_of_another_program_make_no_record() -> None:
    assert of_index({}, []) is None
    assert of_index({"video_size": "many", "max_fps": "30"}, []) is None
