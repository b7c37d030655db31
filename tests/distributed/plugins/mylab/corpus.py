"""A corpus: a folder of `SPLIT-LABEL-NUMBER.wav` files, and the protocol by which it is evaluated."""

from __future__ import annotations

from pathlib import Path

from dual_hpc.errors import UserError
from dual_hpc.evaluation.protocols import PROTOCOLS, define
from shards.corpora import CORPORA, Corpus
from shards.plan import Plan, Planned, Source


def read(source: Path) -> Plan:
    """The recordings of a folder, each with a sentence that says nothing."""
    plan = Plan("tones", source)
    for number, path in enumerate(sorted(source.glob("*.wav"))):
        split, label, _ = path.stem.split("-")
        fields = {
            **{"corpus": "tones", "dialogue": path.stem, "utterance": number, "speaker": f"speaker{number % 4}"},
            **{"split": split, "label": label},
        }
        plan.utterances.append(Planned(path.stem, fields, Source(path), None, "so it goes"))
    if not plan.utterances:
        raise UserError(f"{source}: no .wav files")
    return plan


CORPORA.register("tones", Corpus("tones of a test", read, protocols=("tones2",)))
PROTOCOLS.register("tones2", define("tones2", "tones", {"low": ("low",), "high": ("high",)}))
