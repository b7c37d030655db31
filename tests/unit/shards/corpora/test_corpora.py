"""Corpora by name: what each declares, and one that a plugin adds from outside."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dual_hpc.errors import UserError
from dual_hpc.evaluation.protocols import PROTOCOLS
from shards.corpora import CORPORA, OPTIONS, corpus_of, read_corpus


@pytest.mark.parametrize("name", CORPORA.names())
def test_a_corpus_declares_protocols_that_are_defined_on_it_and_known_options(name: str) -> None:
    corpus = CORPORA.get(name)
    assert {PROTOCOLS.get(protocol).corpus for protocol in corpus.protocols} <= {name, None}
    assert set(corpus.options) <= set(OPTIONS) and corpus.title


def test_every_label_of_a_protocol_is_one_that_its_corpus_publishes() -> None:
    for protocol in (PROTOCOLS.get(name) for name in PROTOCOLS):
        if protocol.corpus is not None:
            groups = CORPORA.get(protocol.corpus).published
            published = {group.split(" ")[-1] for group in groups if not group.startswith("split ")}
            assert set(protocol.label_map) <= published or not published  # some publish no labels


def test_a_manifest_under_any_name_is_counted_by_split_and_label() -> None:
    assert corpus_of("mine") is CORPORA.get("manifest") and corpus_of("meld").title == "MELD"


def test_an_option_that_a_corpus_does_not_take_is_refused(tmp_path: Path) -> None:
    for options in ({"test_twins": "final"}, {"nonsense": "x"}):
        with pytest.raises(UserError, match="IEMOCAP does not take it; leave it out"):
            read_corpus("iemocap", tmp_path, **options)
    with pytest.raises(UserError, match="there is no encoding"):
        (tmp_path / "m.csv").write_text("audio,label\na.wav,x\n")
        read_corpus("manifest", tmp_path / "m.csv", encoding="a\0b")


def test_an_unknown_corpus_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="corpus: there is no corpus 'iemocapp'; did you mean 'iemocap'"):
        read_corpus("iemocapp", tmp_path)


_PLUGIN = """
from dual_hpc.evaluation.protocols import PROTOCOLS, define
from shards.corpora import CORPORA, Corpus
from shards.plan import Plan, Planned, Source

def read(source):
    plan = Plan("toy", source)
    for number, path in enumerate(sorted(source.glob("*.wav"))):
        label, speaker = path.stem.split("_")
        fields = {"corpus": "toy", "dialogue": path.stem, "utterance": number, "speaker": speaker, "label": label}
        plan.utterances.append(Planned(path.stem, fields, Source(path), None, None))
    return plan

def leave_one_speaker_out(utterance, test_fold):
    return "test" if utterance.speaker == f"s{test_fold}" else "train"

CORPORA.register("toy", Corpus("Toy", read, ("toy2",), published={"no split up": 3, "no split down": 2}))
toy2 = define("toy2", "toy", {"up": ("up",), "down": ("down",)}, folds=(1, 2, 3), split_of=leave_one_speaker_out)
PROTOCOLS.register("toy2", toy2)
"""
_SPLIT = """
import json, sys, toy_corpus
from pathlib import Path
from dual_hpc.config.schema import DataConfig
from dual_hpc.data.format.index import read_index
from dual_hpc.evaluation.protocols import get_protocol
utterances = [sample.meta for shard in read_index(Path("out")).shards for sample in shard.samples]
split = get_protocol("toy2", utterances).split(utterances, DataConfig(test_fold=2, validation="speaker"))
print(json.dumps({part: sorted(utterances[n].key for n in numbers) for part, numbers in split.items()}))
"""


def test_a_plugin_adds_a_corpus_with_a_protocol_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "toy_corpus.py").write_text(_PLUGIN)
    (tmp_path / "clips").mkdir()
    for name in ("up_s1", "down_s1", "up_s2", "down_s2", "up_s3"):
        soundfile.write(tmp_path / "clips" / f"{name}.wav", np.full(1600, 0.1), 16_000)

    def run(*words: str) -> str:
        done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    told = run("-m", "launch.cli.main", "pack", "toy", "clips", "--out", "out", "--plugin", "toy_corpus")
    assert "packed 5 of 5 utterances of toy" in told and "protocols: toy2 (data.protocol)" in told
    assert "differ" not in told
    split = json.loads(run("-c", _SPLIT))
    assert split["test"] == ["down_s2", "up_s2"] and len(split["train"]) + len(split["validation"]) == 3
    assert "**3**" not in (tmp_path / "out" / "report.md").read_text()
