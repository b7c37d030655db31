"""`python -m launch.local FOLDER`: the controller of one local job; a permanent address (contract 11).

`dual-hpc stop` and `cancel` recognise a job's controller by this module's name in its command line.
"""

import sys

from launch.job.local_job import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
