"""`dual-hpc inspect`: the same as `python shards/inspection.py`, with plugins."""

from __future__ import annotations

import argparse

from launch.cli.plugin_argument import add_plugin_argument
from shards import inspection
from shards.inspection import EXAMPLES, run

__all__ = ["EXAMPLES", "add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inspection.add_arguments(parser)
    add_plugin_argument(parser)
