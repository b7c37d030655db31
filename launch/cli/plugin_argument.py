"""`--plugin MODULE`, for verbs that have no configuration to name plugins in; `launch.cli.main` imports them."""

from __future__ import annotations

import argparse


def add_plugin_argument(parser: argparse.ArgumentParser) -> None:
    """Declare it; it can be repeated."""
    parser.add_argument(
        "--plugin",
        action="append",
        default=[],
        metavar="MODULE",
        help="import this module of yours, which registers what the command uses, as mylab.emotion (repeatable)",
    )
