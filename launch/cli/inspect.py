"""`dual-hpc inspect`: the same as `python shards/inspection.py`."""

from shards.inspection import EXAMPLES, add_arguments, run

__all__ = ["EXAMPLES", "add_arguments", "run"]
