"""Evaluation protocols by name, one file per corpus.

A new one is a file here and its entry below, or a plugin that calls `PROTOCOLS.register`.
"""

from __future__ import annotations

from dual_hpc.evaluation.protocols.any_labels import ALL
from dual_hpc.evaluation.protocols.iemocap import IEMOCAP4, IEMOCAP6
from dual_hpc.evaluation.protocols.meld import MELD7
from dual_hpc.evaluation.protocols.protocol import (
    PROTOCOLS,
    SPLITS,
    Protocol,
    Split,
    define,
    get_protocol,
    protocol_of,
)
from dual_hpc.evaluation.protocols.split import dialogue_of, speaker_of

__all__ = [
    "ALL",
    "MELD7",
    "PROTOCOLS",
    "SPLITS",
    "Protocol",
    "Split",
    "define",
    "dialogue_of",
    "get_protocol",
    "protocol_of",
    "speaker_of",
]

for _protocol in (IEMOCAP4, IEMOCAP6, MELD7, ALL):
    PROTOCOLS.register(_protocol.name, _protocol)
