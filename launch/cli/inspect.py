"""`dual-hpc inspect`: the same as `python shards/inspection.py`."""

from __future__ import annotations

from shards.inspection import add_arguments, run

EXAMPLES = """\
examples:
  dual-hpc inspect shards/iemocap             # classes, speakers, durations, what was skipped
  dual-hpc inspect shards/iemocap --verify    # read every byte and compare it with the index
"""

__all__ = ["EXAMPLES", "add_arguments", "run"]
