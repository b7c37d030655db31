"""`python -m launch.local FOLDER`: the controller of one local job; a permanent address (contract 11).

`dual-hpc stop` and `cancel` recognise a job's controller by this module's name in its command line.
"""

import sys

from dual_hpc.errors import UserError
from launch.cli.exit_code import exit_code
from launch.job.local_job import main


def control(words: list[str]) -> int | None:
    """Control the job of one run; returns the exit code."""
    if len(words) != 1:
        raise UserError("python -m launch.local takes one argument, the folder of a run")
    return main(words[0])


if __name__ == "__main__":
    sys.exit(exit_code(lambda: control(sys.argv[1:]), sys.argv[1:]))
