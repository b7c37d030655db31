"""Synthetic IEMOCAP and MELD in the official layouts: every test, the demo and CI run on them.

from shards.synthetic import generate
summary = generate("iemocap", Path("DATA/IEMOCAP"), utterances=240, seed=0, workers=2)
"""

from shards.synthetic.dials import Dials
from shards.synthetic.generate import Summary, generate

__all__ = ["Dials", "Summary", "generate"]
