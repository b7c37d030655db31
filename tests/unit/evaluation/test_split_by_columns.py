"""Splits that are decided by column are those that were decided utterance by utterance before."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dual_hpc.config.schema import DataConfig
from dual_hpc.data.format.columns import Columns
from dual_hpc.data.format.index import IndexedSample, Shard, ShardIndex, dataset_id
from dual_hpc.data.format.sample import Utterance
from dual_hpc.data.format.utterances import Utterances
from dual_hpc.errors import UserError
from dual_hpc.evaluation.protocols import PROTOCOLS, SPLITS, Protocol, define, dialogue_of, get_protocol, speaker_of
from dual_hpc.evaluation.protocols.split import own_split_or_session


def split_one_by_one(protocol: Protocol, utterances: Sequence[Utterance], data: DataConfig) -> dict[str, list[int]]:
    """What `Protocol.split` did in version 0.1, without its refusals of other corpora."""
    parts: dict[str, list[int]] = {name: [] for name in SPLITS}
    for number, utterance in enumerate(utterances):
        if protocol.label_of(utterance) is not None:
            assert isinstance(data.test_fold, int)
            parts[protocol.split_of(utterance, data.test_fold)].append(number)
    if not parts["train"]:
        raise UserError("nothing to train on")
    if not parts["validation"]:
        labels = {number: protocol.label_of(utterances[number]) for number in parts["train"]}
        drawn = draw_one_by_one(utterances, labels, data.validation, data.validation_fraction)
        parts["train"] = [number for number in parts["train"] if number not in drawn]
        parts["validation"] = sorted(drawn)
    return parts


def draw_one_by_one(
    utterances: Sequence[Utterance], labels: Mapping[int, int | None], by: str, fraction: float
) -> set[int]:
    pool = list(labels)
    identity = speaker_of if by == "speaker" else dialogue_of
    groups: dict[str, list[int]] = {}
    for number in pool:
        groups.setdefault(identity(utterances[number]), []).append(number)
    if len(groups) < 2:
        raise UserError("a single group")
    whole = Counter(labels.values())
    wanted = fraction * len(pool)

    def candidate(draw: int) -> list[int]:
        taken: list[int] = []
        for group in sorted(groups, key=lambda name: hashlib.sha256(f"{draw}:{name}".encode()).digest()):
            if not taken or abs(len(taken) + len(groups[group]) - wanted) < abs(len(taken) - wanted):
                taken += groups[group]
        return taken

    def cost(taken: Iterable[int]) -> tuple[int, float]:
        part = Counter(labels[number] for number in taken)
        size = part.total()
        lost = sum(part[label] in (0, whole[label]) for label in whole)
        return lost, sum(abs(part[label] / size - whole[label] / len(pool)) for label in whole)

    candidates: list[list[int]] = [taken for taken in map(candidate, range(32)) if len(taken) < len(pool)]
    return set(min(candidates or sorted(groups.values(), key=len)[:1], key=cost))


def columns_of(utterances: Sequence[Utterance], folders: int) -> Utterances:
    """The same utterances, in the columns of several folders."""
    share = -(-len(utterances) // folders) or 1
    made = []
    for at in range(0, len(utterances), share):
        samples = [IndexedSample(meta=meta, members={}) for meta in utterances[at : at + share]]
        shards = [Shard(name="0.tar", bytes=1, sha256="0", samples=samples)]
        made.append(Columns.of(ShardIndex(dataset_id=dataset_id(shards), corpus="c", options={}, shards=shards)))
    return Utterances(made)


def outcome(act: Callable[[], Any]) -> Any:
    """What a call returns, or that it refuses, and what of."""
    try:
        return act()
    except UserError as error:
        return str(error).partition(" of corpus ")[0] if "neither a split" in str(error) else "refused"


def by_parity(utterance: Utterance, test_fold: int) -> str:
    return SPLITS[(utterance.utterance + test_fold) % 3] if utterance.utterance % 2 else "train"


RULES: dict[str, tuple[str, Callable[[Utterance, int], str]]] = {
    "iemocap4": ("iemocap", own_split_or_session),
    "iemocap6": ("iemocap", own_split_or_session),
    "meld7": ("meld", own_split_or_session),
    "all": ("mine", own_split_or_session),
    "own": ("mine", by_parity),
}
SPLITS_OF: list[list[str | None]] = [[None], ["train", "TEST "], ["train", "dev", "test"], [None, "train", "val"]]
SESSIONS_OF: list[list[int | None]] = [[None], [1, 2, 3, 4, 5], [1, 2], [None, 1, 2]]
LABELS = ["ang", "hap", "EXC", "neu", " sad", "fru", "xxx", "joy", "Anger", "neutral", "", None]
# Speakers and dialogues that are written alike though their fields differ, and groups of very different sizes.
NAMES = st.sampled_from(["a", "b", "c", "1/a", "None", "d" * 20, *(f"g{n}" for n in range(12))])


@st.composite
def corpora(draw: st.DrawFn) -> tuple[str, list[Utterance]]:
    name = draw(st.sampled_from(list(RULES)))
    splits = draw(st.sampled_from(SPLITS_OF))
    sessions = draw(st.sampled_from(SESSIONS_OF))
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from(splits), st.sampled_from(sessions), NAMES, NAMES, st.sampled_from(LABELS),
                st.integers(0, 9),
            ),
            max_size=60,
        )
    )  # fmt: skip
    return name, [
        Utterance(
            key=f"u{n}", corpus=RULES[name][0], split=split, session=session, dialogue=dialogue, speaker=speaker,
            label=label, utterance=utterance, duration=1.0,
        )
        for n, (split, session, dialogue, speaker, label, utterance) in enumerate(rows)
    ]  # fmt: skip


@settings(max_examples=300)
@given(
    given_corpus=corpora(),
    fold=st.integers(1, 5),
    by=st.sampled_from(["speaker", "dialogue"]),
    fraction=st.floats(0.01, 0.49),
    folders=st.integers(1, 3),
)
def test_a_split_by_columns_is_the_split_one_by_one(
    given_corpus: Any, fold: int, by: Any, fraction: float, folders: int
) -> None:
    name, utterances = given_corpus
    if name == "own":
        protocol = define("own", "mine", {"x": ("ang", "hap"), "y": ("neu", "sad", "joy")}, (), by_parity)
    else:
        protocol = get_protocol(name, utterances)
    data = DataConfig(test_fold=fold, validation=by, validation_fraction=fraction)
    columns = columns_of(utterances, folders)
    expected = outcome(lambda: split_one_by_one(protocol, utterances, data))
    assert outcome(lambda: protocol.split(columns, data)) == expected
    assert outcome(lambda: protocol.split(utterances, data)) == expected
    assert protocol.labels_of(columns) == [protocol.label_of(one) for one in utterances]
    if name in PROTOCOLS:
        assert get_protocol(name, columns) == protocol


@pytest.mark.parametrize("by", ["speaker", "dialogue"])
@pytest.mark.parametrize("name", ["iemocap4", "iemocap6", "all"])
def test_the_split_of_a_corpus_as_large_as_iemocap_is_the_one_it_always_had(name: str, by: Any) -> None:
    utterances = [
        Utterance(
            key=f"u{n}", corpus="iemocap", session=n % 5 + 1, dialogue=f"Ses0{n % 5 + 1}_{n // 5 % 31}", utterance=n,
            speaker="FM"[n // 7 % 2], label=LABELS[n * n % 7], duration=1.0,
        )
        for n in range(2000)
    ]  # fmt: skip
    protocol = get_protocol(name, utterances)
    for fold in (1, 5):
        data = DataConfig(test_fold=fold, validation=by)
        split = protocol.split(columns_of(utterances, 2), data)
        assert split == split_one_by_one(protocol, utterances, data)
        assert all(split.values())


def test_a_part_that_does_not_exist_is_a_mistake_of_the_protocol() -> None:
    utterances = [Utterance(key="u", corpus="c", dialogue="d", utterance=0, speaker="s", label="a", duration=1.0)]
    protocol = define("own", None, {"a": ("a",)}, (), lambda *_: "holdout")
    with pytest.raises(UserError, match="'holdout'; use one of train"):
        protocol.split(utterances, DataConfig())
