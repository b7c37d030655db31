"""`dual-hpc pack`: the same as `python shards/pack.py`."""

from __future__ import annotations

from shards.pack import add_arguments, run

EXAMPLES = """\
examples:
  dual-hpc pack iemocap $WORK/IEMOCAP_full_release --out $SCRATCH/shards/iemocap --workers 8
  dual-hpc pack meld $WORK/MELD.Raw --out $SCRATCH/shards/meld
  dual-hpc pack manifest my_corpus.jsonl --out shards/mine

Packing that was interrupted goes on where it stopped. `dual-hpc inspect DIR` shows what came out.
"""

__all__ = ["EXAMPLES", "add_arguments", "run"]
