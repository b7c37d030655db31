"""`dual-hpc extract`: the same as `python shards/extract.py`."""

from shards.extract import EXAMPLES, add_arguments, run

__all__ = ["EXAMPLES", "add_arguments", "run"]
