"""The listener's half of IEMOCAP's pictures: whose it is, what it shows, and that nothing counts it as an utterance."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from dual_hpc.data.format.index import read_index
from dual_hpc.data.format.sample import Utterance
from dual_hpc.errors import UserError
from dual_hpc.evaluation.protocols import PROTOCOLS
from launch.cli.main import main
from shards.corpora import corpus_of, read_corpus
from shards.options import PackOptions
from shards.packing import pack
from shards.verify import verify
from tests.unit.shards.conftest import write_iemocap

KEY = "Ses01F_impro01_F000"


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory, put: Callable[[str, Path], Path]) -> Path:
    folder = tmp_path_factory.mktemp("listener")
    write_iemocap(folder / "source", put)
    assert (
        main(["pack", "iemocap", f"{folder}/source", "--out", f"{folder}/out", "--listener", "--video-size", "24"]) == 0
    )
    return folder / "out"


def metas(folder: Path) -> dict[str, Utterance]:
    return {sample.meta.key: sample.meta for shard in read_index(folder).shards for sample in shard.samples}


def colour(folder: Path, key: str) -> np.ndarray:
    """The mean red, green and blue of a clip's first picture."""
    for shard in sorted(folder.glob("*.tar")):
        with tarfile.open(shard) as tar:
            if f"{key}.mp4" in tar.getnames():
                with av.open(tar.extractfile(f"{key}.mp4")) as container:
                    picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
                    return np.asarray(picture.mean(axis=(0, 1)))
    raise AssertionError(f"{key} has no pictures")


def test_the_listener_is_the_other_actor_in_the_other_half(packed: Path) -> None:
    found = metas(packed)
    assert len(found) == 8 and verify(packed) == []
    one = found[f"{KEY}_listener"]
    assert (one.speaker, one.session, one.dialogue) == ("Ses01M", 1, "Ses01F_impro01")
    assert one.attributes == {"gender": "male", "role": "listener", "listens_to": KEY}
    assert found[KEY].attributes == {"gender": "female"} and found[KEY].label == "neu"
    for key in (KEY, "Ses01F_impro01_M000"):
        speaker, listener = colour(packed, key), colour(packed, f"{key}_listener")
        assert speaker.argmax() == (0 if key == KEY else 2) and listener.argmax() == 2 - speaker.argmax()
    assert read_index(packed).options["listener"] == "yes"


def test_a_listener_has_neither_sound_nor_text_nor_label_and_no_protocol_takes_it(packed: Path) -> None:
    found = metas(packed)
    listeners = [one for one in found.values() if one.key.endswith("_listener")]
    assert not any(one.has_audio or one.has_text or one.label or one.valence or one.votes for one in listeners)
    assert all(one.has_video for one in listeners)
    for name in ("iemocap4", "iemocap6", "iemocap4-loso", "all"):
        assert PROTOCOLS.get(name).labels_of(listeners) == [None] * 4
    spoken = [one for key, one in found.items() if not key.endswith("_listener")]
    assert corpus_of("iemocap").count(found.values()) == corpus_of("iemocap").count(spoken)


def test_without_the_option_there_are_none(iemocap: Path) -> None:
    with_them = read_corpus("iemocap", iemocap, listener="yes")
    assert with_them.utterances[:4] == read_corpus("iemocap", iemocap).utterances
    assert any("listeners of 4 utterances" in note for note in with_them.notes)
    for video in iemocap.rglob("*.avi"):
        video.unlink()
    assert len(read_corpus("iemocap", iemocap, listener="yes").utterances) == 4


def test_it_needs_halves_and_iemocap(iemocap: Path, meld: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--listener: both actors are in a whole picture"):
        pack("iemocap", iemocap, tmp_path / "a", PackOptions(named_side="whole"), choices={"listener": "yes"})
    with pytest.raises(UserError, match="--listener: MELD does not take it"):
        read_corpus("meld", meld, listener="yes")
    assert main(["pack", "meld", str(meld), "--out", str(tmp_path / "b"), "--listener"]) == 2
