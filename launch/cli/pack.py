"""`dual-hpc pack`: the same as `python shards/pack.py`."""

from shards.pack import EXAMPLES, add_arguments, run

__all__ = ["EXAMPLES", "add_arguments", "run"]
