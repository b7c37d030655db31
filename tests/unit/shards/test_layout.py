"""How a plan is cut: nothing lost, nothing twice, nothing dependent on the number of workers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from shards.corpora import read_corpus
from shards.layout import cut, extraction_fingerprint, fingerprint, share, shuffled, weight
from shards.options import PackOptions
from shards.plan import Plan, Planned, Source

utterances = st.lists(st.integers(0, 10**6), unique=True, max_size=600).map(
    lambda numbers: [Planned(f"k{n}", {}, None, None, None) for n in numbers]
)


@given(utterances, st.integers(0, 50))
def test_every_utterance_is_in_one_shard(planned: list[Planned], size: int) -> None:
    shards = cut(planned, size)
    assert [p for shard in shards for p in shard] == planned
    assert all(0 < len(shard) <= (size or 256) for shard in shards)


@given(utterances, st.randoms())
def test_the_order_does_not_depend_on_how_the_corpus_was_listed(planned: list[Planned], random) -> None:
    mixed = list(planned)
    random.shuffle(mixed)
    assert shuffled(mixed) == shuffled(planned)


@given(st.integers(0, 200), st.integers(1, 20))
def test_array_tasks_share_all_shards_without_overlap(count: int, tasks: int) -> None:
    assert sorted(n for i in range(tasks) for n in share(count, i, tasks)) == list(range(count))


def test_a_small_corpus_still_gives_several_workers_something_to_do() -> None:
    assert len(cut([Planned(f"k{n}", {}, None, None, None) for n in range(40)], 0)) == 8


def test_what_is_longer_weighs_more(iemocap: Path, meld: Path) -> None:
    told = [Planned("k", {}, Source(Path("a"), 1.0, end), None, None) for end in (2.0, 5.0)]
    assert weight(told[1:]) == 4 * weight(told[:1])
    clips = {p.key: p for p in read_corpus("meld", meld).utterances}
    assert weight([clips["train_dia0_utt0"]]) > weight([clips["test_dia0_utt0"]])
    assert weight([]) == 0


def test_the_fingerprint_sees_options_texts_and_sizes_but_not_the_place(iemocap: Path, tmp_path: Path) -> None:
    plan, options = read_corpus("iemocap", iemocap), PackOptions()
    before = fingerprint(plan, options)
    assert fingerprint(plan, replace(options, crf=24)) != before
    assert fingerprint(plan, replace(options, grid_hz=10.0)) != before
    moved = iemocap.rename(tmp_path / "elsewhere")
    assert fingerprint(read_corpus("iemocap", moved), options) == before
    sound = next(moved.glob("Session1/sentences/wav/*/Ses*.wav"))
    sound.write_bytes(sound.read_bytes() + b"\0\0")
    assert fingerprint(read_corpus("iemocap", moved), options) != before


def test_a_job_has_the_identity_that_earlier_versions_gave_it(tmp_path: Path) -> None:
    """Packs that one version began are continued by the next: these hashes never change."""
    (tmp_path / "a.wav").write_bytes(bytes(10))
    fields = {"corpus": "toy", "dialogue": "d", "utterance": 1, "speaker": "s", "label": "ang"}
    planned = Planned("u1", fields, Source(tmp_path / "a.wav", 0.5, 1.5), None, "Hello.", "named")
    identity = fingerprint(Plan("toy", tmp_path, [planned]), PackOptions(video_size=24))
    assert identity == "f2ff708a6436f4c3ed4b0d3d630e157e"
    assert extraction_fingerprint({"source": "x", "dtype": "float16"}) == "a927b1a4adf1e99b1e85d75e0baa4c18"
