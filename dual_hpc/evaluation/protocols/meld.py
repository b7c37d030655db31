"""MELD: its seven emotions, on its own train, dev and test splits."""

from __future__ import annotations

from dual_hpc.evaluation.protocols.protocol import define

MELD7 = define(
    "meld7",
    "meld",
    {name: (name,) for name in ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")},
)
