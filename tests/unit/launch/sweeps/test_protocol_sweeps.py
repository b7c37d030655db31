"""Protocols of a few lines over the same shards, as sweeps: the examples' files, and what leaks is refused by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

from dual_hpc.config import load_config
from dual_hpc.config.schema import DataConfig
from dual_hpc.data.format.index import IndexedSample, Shard, ShardIndex, dataset_id, write_index
from dual_hpc.data.format.sample import Utterance
from dual_hpc.errors import UserError
from dual_hpc.evaluation.protocols import SPLITS, protocol_of
from launch.cli.main import main
from launch.runs.plan import PlannedRun, split_of, utterances_of
from launch.sweeps.plan import plan_sweep
from shards.corpora import read_corpus
from shards.synthetic import generate
from shards.synthetic.named import ravdess_names, write_release

EXAMPLES = Path(__file__).parents[4] / "examples" / "protocols"
SPEAKERS = {f"Ses0{session}{who}" for session in range(1, 6) for who in "FM"}


def indexed(folder: Path, corpus: str, utterances: Iterable[Utterance]) -> str:
    """A folder of shards whose index has these samples: planning reads no more."""
    shard = Shard(name="0.tar", bytes=1, sha256="0", samples=[IndexedSample(meta=u, members={}) for u in utterances])
    folder.mkdir(parents=True)
    write_index(folder, ShardIndex(dataset_id=dataset_id([shard]), corpus=corpus, options={}, shards=[shard]))
    return str(folder)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """A corpus -> a folder of what its reader finds in its synthetic release."""
    root, made = tmp_path_factory.mktemp("corpora"), dict[str, str]()

    def of(corpus: str) -> str:
        if corpus not in made:
            if corpus == "ravdess":
                write_release(root / corpus, ravdess_names(), b"RIFF")
            else:
                generate(corpus, root / corpus, 240, media="tiny")  # type: ignore[arg-type]
            plan = read_corpus(corpus, root / corpus)
            metas = [Utterance(key=one.key, duration=1.0, **one.fields) for one in plan.utterances]
            made[corpus] = indexed(root / "shards" / corpus, corpus, metas)
        return made[corpus]

    return of


def planned(store: Path, shards: str, axes: Sequence[str] = (), members: Sequence[str] = ()) -> list[PlannedRun]:
    settings = ["name=study", f"store={store}", "launch.profile=local"]
    return plan_sweep("own", settings, [shards], axes, members)[1]


def mine(number: int, **fields: object) -> Utterance:
    """One of a corpus of one's own."""
    own = {"corpus": "mine", "utterance": 0, "speaker": "unknown", "label": ("up", "down")[number % 2], "duration": 1.0}
    return Utterance(**{"key": f"u{number}", "dialogue": f"u{number}", **own, **fields})


def parts_of(plan: PlannedRun) -> dict[str, list[Utterance]]:
    utterances = utterances_of(plan.config)
    return {part: [utterances[number] for number in numbers] for part, numbers in split_of(plan.config).items()}


def speakers(part: list[Utterance]) -> set[str]:
    return {one.speaker for one in part}


def example(name: str) -> str:
    return f"data.protocol={EXAMPLES / name}.yaml"


def test_merged_classes_are_swept_over_the_five_sessions(tmp_path: Path, shards: Callable[[str], str]) -> None:
    plans = planned(tmp_path, shards("iemocap"), [example("good_and_bad"), "folds=all"])
    assert [plan.config.data.test_fold for plan in plans] == [1, 2, 3, 4, 5]
    tested = 0
    for session, plan in enumerate(plans, 1):
        parts = parts_of(plan)
        assert {one.session for one in parts["test"]} == {session} and all(parts.values())
        assert {one.label for part in parts.values() for one in part} == {"ang", "sad", "fru", "hap", "exc"}
        assert not any(one.scripted for part in parts.values() for one in part)
        classes = protocol_of(plan.config.data, utterances_of(plan.config))
        assert classes.classes == ("bad", "good") and {classes.label_of(one) for one in parts["test"]} == {0, 1}
        tested += len(parts["test"])
    assert tested == sum(map(len, parts_of(plans[0]).values()))


def test_three_sentiments_of_meld_are_read_from_the_shards_of_its_seven_emotions(
    tmp_path: Path, shards: Callable[[str], str]
) -> None:
    plans = planned(tmp_path, shards("meld"), ["data.protocol=meld7," + str(EXAMPLES / "meld_sentiments.yaml")])
    emotions, sentiments = map(parts_of, plans)
    assert {name: [one.key for one in part] for name, part in emotions.items()} == {
        name: [one.key for one in part] for name, part in sentiments.items()
    }
    protocol = protocol_of(plans[1].config.data, utterances_of(plans[1].config))
    for one in (one for part in sentiments.values() for one in part):
        number = protocol.label_of(one)
        assert number is not None and protocol.classes[number] == (one.attributes or {})["sentiment"]
    for part, split in (("train", "train"), ("validation", "dev"), ("test", "test")):
        assert {one.split for one in sentiments[part]} == {split}


def test_one_of_ten_speakers_is_left_out(tmp_path: Path, shards: Callable[[str], str]) -> None:
    plans = planned(tmp_path, shards("iemocap"), [example("ten_speakers"), "folds=all"])
    assert len(plans) == 10
    tested: Counter[str] = Counter()
    for plan in plans:
        parts = parts_of(plan)
        (left_out,), (other,) = speakers(parts["test"]), speakers(parts["validation"])
        assert {left_out[:5], other[:5]} == {left_out[:5]} and speakers(parts["train"]) == SPEAKERS - {left_out, other}
        tested.update(one.key for one in parts["test"])
    assert set(tested.values()) == {1} and len(tested) == sum(map(len, parts_of(plans[0]).values()))


def test_one_of_24_actors_is_left_out(tmp_path: Path, shards: Callable[[str], str]) -> None:
    plans = planned(tmp_path, shards("ravdess"), [example("actors"), "folds=all"])
    assert [speakers(parts_of(plan)["test"]) for plan in plans] == [{f"{actor:02d}"} for actor in range(1, 25)]
    for plan in plans[:3]:
        parts = parts_of(plan)
        assert len(parts["test"]) == 60 and len(speakers(parts["validation"])) == 2
        assert len(speakers(parts["train"])) == 21 and sum(map(len, parts.values())) == 1440
        assert not speakers(parts["train"]) & speakers(parts["validation"])


def test_dialogues_are_drawn_into_five_folds_none_of_which_shares_one(
    tmp_path: Path, shards: Callable[[str], str]
) -> None:
    plans = planned(tmp_path, shards("iemocap"), [example("five_folds"), "folds=all"])
    tests = [{(one.session, one.dialogue) for one in parts_of(plan)["test"]} for plan in plans]
    assert len(tests) == 5 and all(tests) and sum(map(len, tests)) == len(set.union(*tests))
    for number, plan in enumerate(plans):
        parts = parts_of(plan)
        found = {name: {(one.session, one.dialogue) for one in part} for name, part in parts.items()}
        assert found["validation"] == tests[(number + 1) % 5] and not found["train"] & (
            found["test"] | found["validation"]
        )


def test_folds_are_those_of_a_file_of_names(tmp_path: Path, shards: Callable[[str], str]) -> None:
    lines = (EXAMPLES / "named_folds.csv").read_text().split()[1:]
    of_file: dict[str, set[str]] = {}
    for who, fold in (line.split(",") for line in lines):
        of_file.setdefault(fold, set()).add(who)
    plans = planned(tmp_path, shards("iemocap"), [example("named_folds"), "folds=all"])
    assert [plan.config.data.test_fold for plan in plans] == ["first", "second", "third"]
    for plan, following in zip(plans, ("second", "third", "first"), strict=True):
        parts = parts_of(plan)
        assert speakers(parts["test"]) == of_file[str(plan.config.data.test_fold)]
        assert speakers(parts["validation"]) == of_file[following]
        assert len(plan.config.data.protocol_definition["folds"]["sha256"]) == 64


def test_one_of_two_corpora_is_left_out(tmp_path: Path, shards: Callable[[str], str]) -> None:
    both = [shards("iemocap"), shards("meld")]
    settings = ["name=loco", f"store={tmp_path}", "launch.profile=local", example("two_corpora")]
    plans = plan_sweep("own", settings, both, ["folds=all"], [])[1]
    assert [plan.config.data.test_fold for plan in plans] == ["iemocap", "meld"]
    for plan in plans:
        parts = parts_of(plan)
        left_out = str(plan.config.data.test_fold)
        assert {one.corpus for one in parts["test"]} == {left_out}
        assert {one.corpus for name in ("train", "validation") for one in parts[name]} == {"iemocap", "meld"} - {
            left_out
        }
        protocol = protocol_of(plan.config.data, utterances_of(plan.config))
        assert all({protocol.label_of(one) for one in part} == {0, 1, 2, 3} for part in parts.values())


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_is_a_protocol_of_a_few_lines(path: Path) -> None:
    data = load_config(None, [f"data.protocol={path}"]).data
    assert protocol_of(data, ()).name == path.stem and len(path.read_text().splitlines()) <= 12


def test_protocols_with_folds_of_their_own_are_one_sweep_over_the_same_shards(
    tmp_path: Path, shards: Callable[[str], str]
) -> None:
    files = ("good_and_bad", "ten_speakers", "five_folds", "named_folds")
    axes = ["data.protocol=" + ",".join(str(EXAMPLES / f"{name}.yaml") for name in files), "folds=all", "seeds=0,1"]
    plans = planned(tmp_path, shards("iemocap"), axes)
    found = Counter(plan.config.data.protocol for plan in plans)
    assert found == {"good_and_bad": 10, "ten_speakers": 20, "five_folds": 10, "named_folds": 6}
    assert all(set(parts_of(plan)) == set(SPLITS) and all(parts_of(plan).values()) for plan in plans[:6])
    assert len({plan.path for plan in plans}) == 46


def test_two_protocols_whose_folds_test_the_same_are_no_repetition(
    tmp_path: Path, shards: Callable[[str], str]
) -> None:
    """Leaving a speaker out by a column and by a file of names: other folds' names, the same test parts."""
    (tmp_path / "loso.csv").write_text("\n".join(["speaker,fold", *(f"{who},{who[3:]}" for who in sorted(SPEAKERS))]))
    text = (EXAMPLES / "ten_speakers.yaml").read_text()
    (tmp_path / "loso.yaml").write_text(text.replace("folds: {by: speaker}", "folds: {file: loso.csv}"))
    protocols = {example("ten_speakers"): "ses01f", f"data.protocol={tmp_path / 'loso.yaml'}": "01F"}
    members = [f"{protocol} data.test_fold={fold}" for protocol, fold in protocols.items()]
    one, other = map(parts_of, planned(tmp_path / "store", shards("iemocap"), members=members))
    assert one == other


def test_the_command_shows_the_members_of_such_a_sweep(
    tmp_path: Path, shards: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sweep", "--preset", "own", "--shards", shards("ravdess"), "name=loso", f"store={tmp_path}"]
    assert main([*words, "launch.profile=local", example("actors"), "--grid", "folds=all", "--dry-run"]) == 0
    told = capsys.readouterr().err
    assert "# 24 runs" in told and "# loso.test_fold-01: data.test_fold=01\n" in told
    assert "data.test_fold=24\n" in told and not list(tmp_path.iterdir())


TWO = "classes: {up: up, down: down}\n"
ODD = ["no", "null", "1.5", "1e3", "0", "007", "1_000", "a,b", "a=b", "x/y", "[q]", "it's", '"', "a: b", "#1", "~", "é"]


def test_speakers_of_any_name_are_folds_of_a_sweep(tmp_path: Path) -> None:
    folder = indexed(tmp_path / "shards", "mine", [mine(n, speaker=ODD[n // 2]) for n in range(2 * len(ODD))])
    (tmp_path / "loso.yaml").write_text(f"{TWO}folds: {{by: speaker}}\nvalidation: {{by: speaker}}\n")
    plans = planned(tmp_path / "store", folder, [f"data.protocol={tmp_path / 'loso.yaml'}", "folds=all"])
    assert sorted(who for plan in plans for who in speakers(parts_of(plan)["test"])) == sorted(ODD)


FOUR = "corpus: iemocap\nclasses: {angry: ang, happy: [hap, exc], neutral: neu, sad: sad}\n"
LEAKS = {
    "a speaker in two parts": (
        "folds: {by: dialogue, k: 3}",
        1,
        r"\d+ speakers are in train and in test: Ses0\dF, ",
    ),
    "a dialogue in two parts": ("folds: {by: speaker}", "ses02m", r"\d+ dialogues are in train and in test: Ses02F_"),
    "a group that is in two folds": (
        "folds: {by: session, values: {a: [1, 2], b: [2, 3, 4, 5]}}",
        "a",
        "session 2 is in a and in b",
    ),
    "selection on the test part": ("folds: {by: session}\nvalidation: test", 1, "the test part must not choose"),
    "selection on some of the test part": (
        "folds: {by: session}\nvalidation: {values: {1: [1, 2]}}",
        1,
        r"\d+ utterances would choose the weights and test: Ses01.*, Ses01.* and \d+ more",
    ),
    "a name that is in two folds of a file": ("folds: {file: f.csv}", 1, r"f\.csv: ses01f is in 1 and in 2"),
    "names of a file that are nobody's": (
        "folds: {file: typo.csv, others: train}\nvalidation: {by: speaker}",
        1,
        r"typo\.csv names 2 of speaker that data\.shards do not hold: ses01x, ses1f; correct them",
    ),
    "keys of a file that are of no sample": ("folds: {file: keys.csv, others: train}", 1, r"names 1 of key .*: u77;"),
    "speakers of two folds of a file of keys": ("folds: {file: halves.csv}", 1, r"10 speakers are in .*: Ses01F, "),
    "a speaker who trains and chooses": (
        "folds: {by: session}\nvalidation: {by: dialogue}",
        1,
        r"\d speakers are in train and in validation: Ses0",
    ),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_each_leak_is_refused_with_its_names(tmp_path: Path, shards: Callable[[str], str], leak: str) -> None:
    rules, fold, words = LEAKS[leak]
    (tmp_path / "f.csv").write_text("speaker,fold\nSes01F,1\nSes01M,1\nses01f,2\n")
    (tmp_path / "typo.csv").write_text("speaker,fold\nSes01X,1\nSes01M,1\nses1f,2\n")
    (everyone,) = planned(tmp_path / "s", shards("iemocap"), ["data.protocol=iemocap4"])
    keys = [one.key for part in parts_of(everyone).values() for one in part]
    (tmp_path / "keys.csv").write_text(f"key,fold\n{keys[0]},1\nu77,2\n")
    (tmp_path / "halves.csv").write_text("\n".join(["key,fold", *(f"{key},{n % 2 + 1}" for n, key in enumerate(keys))]))
    (tmp_path / "mine.yaml").write_text(f"{FOUR}{rules}\n")
    member = f"data.protocol={tmp_path / 'mine.yaml'} data.test_fold={fold}"
    with pytest.raises(UserError, match=words) as caught:
        planned(tmp_path / "store", shards("iemocap"), members=[member])
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "store").exists()


def test_a_name_of_a_file_that_nobody_has_is_passed_over_where_the_protocol_says_so(
    tmp_path: Path, shards: Callable[[str], str]
) -> None:
    lines = (EXAMPLES / "named_folds.csv").read_text() + "Ses06F,third\n"
    (tmp_path / "more.csv").write_text(lines)
    text = (EXAMPLES / "named_folds.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(text.replace("{file: named_folds.csv}", "{file: more.csv, unknown: ignore}"))
    plans = planned(tmp_path / "store", shards("iemocap"), [f"data.protocol={tmp_path / 'mine.yaml'}", "folds=all"])
    assert [len(speakers(parts_of(plan)["test"])) for plan in plans] == [2, 4, 4]


def test_a_sample_that_two_folders_hold_may_not_train_and_test(tmp_path: Path) -> None:
    both = [indexed(tmp_path / split, "mine", [mine(n, split=split) for n in range(4)]) for split in ("train", "test")]
    settings = ["name=x", f"store={tmp_path / 'store'}", "launch.profile=local"]
    (tmp_path / "own.yaml").write_text(f"{TWO}folds: {{own: true}}\nshared: {{dialogue: test}}\n")
    for protocol in ("all", str(tmp_path / "own.yaml")):
        with pytest.raises(UserError, match=r"3 samples are in train and in test: u\d, u\d, u\d; several folders"):
            plan_sweep("own", [*settings, f"data.protocol={protocol}"], both, ["seeds=0,1"], [])


def test_a_dialogue_that_the_corpus_s_own_split_cuts_in_two_is_refused_or_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    splits = ("train", "train", "dev", "test")
    metas = [mine(n, dialogue=f"d{n // 4}", utterance=n, speaker=f"s{n}", split=splits[n % 4]) for n in range(16)]
    folder = indexed(tmp_path / "shards", "mine", metas)
    (tmp_path / "own.yaml").write_text(f"{TWO}folds: {{own: true}}\n")
    with pytest.raises(UserError, match="4 dialogues are in train and in test: d0, d1, d2, d3"):
        planned(tmp_path / "store", folder, [f"data.protocol={tmp_path / 'own.yaml'}", "seeds=0,1"])
    planned(tmp_path / "store", folder, ["data.protocol=all", "seeds=0,1"])
    assert "4 dialogues are in train and in test: d0, d1, d2, d3" in caplog.text


@pytest.mark.parametrize("protocol", ["dfew7", "mafw11"])
def test_shards_of_the_store_are_found_for_a_protocol_by_a_column_of_its_corpus(tmp_path: Path, protocol: str) -> None:
    corpus, labels = protocol.rstrip("17"), protocol_of(DataConfig(protocol=protocol), ()).classes
    metas = [
        mine(n, corpus=corpus, label=labels[n % len(labels)], attributes={"fold": str(n % 5 + 1)}) for n in range(220)
    ]
    indexed(tmp_path / "shards" / corpus, corpus, metas)
    settings = ["name=cv", f"store={tmp_path}", "launch.profile=local", f"data.protocol={protocol}"]
    plans = plan_sweep("own", settings, [], ["folds=all"], [])[1]
    assert [plan.config.data.test_fold for plan in plans] == [1, 2, 3, 4, 5]
    assert sum(len(parts_of(plan)["test"]) for plan in plans) == 220
