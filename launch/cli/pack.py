"""`dual-hpc pack`: the same as `python shards/pack.py`, with plugins."""

from __future__ import annotations

import argparse

from launch.cli.plugin_argument import add_plugin_argument
from shards import pack
from shards.pack import EXAMPLES, run

__all__ = ["EXAMPLES", "add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pack.add_arguments(parser)
    add_plugin_argument(parser)
