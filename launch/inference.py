"""`python launch/inference.py ...` is `dual-hpc predict ...`."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # A script's folder comes first on the path and would hide packages that have the names of these scripts.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from launch.cli.main import main

    sys.exit(main(["predict", *sys.argv[1:]]))
