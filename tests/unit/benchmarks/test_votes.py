"""The synthetic raters of the benchmark of votes: what they say follows from what is planted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.votes.__main__ import difference
from benchmarks.votes.planted import CLASSES, DIMENSIONS, RATERS, prepare, protocol
from dual_hpc.config.yaml_text import read_yaml
from dual_hpc.data.format.columns import Columns
from dual_hpc.data.format.index import read_index
from dual_hpc.data.format.utterances import Utterances
from dual_hpc.evaluation.protocols.document import ProtocolDocument, document_of
from dual_hpc.evaluation.protocols.document_protocol import DocumentProtocol
from dual_hpc.evaluation.votes import vote_shares


def test_what_raters_say_follows_from_what_is_planted(tmp_path: Path) -> None:
    planted = prepare(tmp_path, 0, {"train": 300, "dev": 20, "test": 60})
    found = Utterances([Columns.of(read_index(planted.shards))])
    everyone = [found[number] for number in range(len(found))]
    assert {one.key for one in everyone} == set(planted.distributions) and {one.split for one in everyone} == {
        "train",
        "dev",
        "test",
    }
    shares, known = vote_shares(DocumentProtocol.of(document("soft")), everyone, np.arange(len(everyone)))
    assert known.all() and all(len(one.votes or ()) == RATERS for one in everyone)
    assert [f"c{number}" for number in shares.argmax(axis=1)] == [one.label for one in everyone]
    truth = np.stack([planted.distributions[one.key] for one in everyone])
    assert np.corrcoef(shares.ravel(), truth.ravel())[0, 1] > 0.7 and 0.02 < planted.floor < 0.2
    for number, name in enumerate(DIMENSIONS):
        said = [getattr(one, name) for one in everyone]
        assert np.corrcoef(said, [planted.dimensions[one.key][number] for one in everyone])[0, 1] > 0.85


def test_the_same_seed_plants_the_same_and_another_something_else(tmp_path: Path) -> None:
    sizes = {"train": 20, "dev": 5, "test": 5}
    one, again, other = (prepare(tmp_path / name, seed, sizes) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert one.distributions.keys() == again.distributions.keys() and one.floor == again.floor != other.floor


@pytest.mark.parametrize(("target", "classes"), [("class", CLASSES), ("soft", CLASSES), ("regression", 1)])
def test_each_target_is_a_protocol(target: str, classes: int) -> None:
    assert document(target).target == target and len(document(target).classes) == classes


def test_differences_have_the_interval_of_student_s_t() -> None:
    found = [{"class": {"jsd": 0.4 + d}, "soft": {"jsd": 0.1 + 2 * d}} for d in (-0.01, 0.0, 0.01)]
    told = difference(found, "jsd")
    half = 4.3027 * 0.01 / 3**0.5  # t of two degrees of freedom; the differences have deviation 0.01
    assert told["mean"] == pytest.approx(-0.3) and told["change"] == pytest.approx(-0.75)
    assert (told["low"], told["high"]) == (pytest.approx(-0.3 - half, abs=1e-5), pytest.approx(-0.3 + half, abs=1e-5))


def document(target: str) -> ProtocolDocument:
    return document_of(read_yaml(protocol(target)), target)
