"""Corpora by name, one file each: a raw folder (or manifest) becomes a plan; no media is decoded.

A new one is a file here and its entry below, with its protocol in `dual_hpc/evaluation/protocols`; or a plugin that
calls `CORPORA.register` and `PROTOCOLS.register`.
"""

from __future__ import annotations

from pathlib import Path

from shards.corpora.clip_table import CH_SIMS, CH_SIMS2, CMU_MOSEI
from shards.corpora.corpus import CORPORA, FEATURES, OPTIONS, Corpus
from shards.corpora.cremad import CREMAD
from shards.corpora.emodb import EMODB
from shards.corpora.fold_lists import DFEW, MAFW
from shards.corpora.iemocap import IEMOCAP
from shards.corpora.manifest import MANIFEST
from shards.corpora.mead import MEAD
from shards.corpora.meld import MELD
from shards.corpora.msp_improv import MSP_IMPROV
from shards.corpora.msp_podcast import MSP_PODCAST
from shards.corpora.ravdess import RAVDESS
from shards.corpora.savee import SAVEE
from shards.corpora.tess import TESS
from shards.plan import Plan

__all__ = ["CORPORA", "FEATURES", "OPTIONS", "Corpus", "corpus_of", "read_corpus"]

for _name, _corpus in (
    ("iemocap", IEMOCAP),
    ("meld", MELD),
    ("manifest", MANIFEST),
    ("msp_improv", MSP_IMPROV),
    ("msp_podcast", MSP_PODCAST),
):
    CORPORA.register(_name, _corpus)
for _named in (CREMAD, RAVDESS, EMODB, SAVEE, TESS, MEAD, CMU_MOSEI, CH_SIMS, CH_SIMS2, DFEW, MAFW):
    CORPORA.register(_named.name, _named.corpus())


def read_corpus(corpus: str, source: Path, name: str | None = None, **choices: str | None) -> Plan:
    """Plan of a registered corpus; `name` renames a manifest's, `choices` are its other reader options.

    Raises:
        UserError: there is no such corpus, or `source` is not one.
    """
    return CORPORA.get(corpus).read(source, name, **choices)


def corpus_of(name: str) -> Corpus:
    """The corpus that packed samples name; a manifest's, whose name is the user's, counts as any."""
    return CORPORA.get(name) if name in CORPORA else MANIFEST
