"""`dual-hpc extract`: the same as `python shards/extract.py`, with plugins."""

from __future__ import annotations

import argparse

from launch.cli.plugin_argument import add_plugin_argument
from shards import extract
from shards.extract import EXAMPLES, run

__all__ = ["EXAMPLES", "add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    extract.add_arguments(parser)
    add_plugin_argument(parser)
