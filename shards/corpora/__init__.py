"""Readers of raw corpora: a folder (or manifest) becomes a plan; no media is decoded."""

from __future__ import annotations

from pathlib import Path

from shards.plan import Plan

CORPORA = ("iemocap", "meld", "manifest")


def read_corpus(corpus: str, source: Path, name: str | None = None) -> Plan:
    """Plan of one of `CORPORA`; `name` renames a manifest's corpus."""
    from shards.corpora import iemocap, manifest, meld

    assert corpus in CORPORA, corpus
    if corpus == "manifest":
        return manifest.read(source, name)
    return iemocap.read(source) if corpus == "iemocap" else meld.read(source)
