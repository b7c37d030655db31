"""Lines that a job writes into its ranks' logs, by which `dual-hpc why` finds where a job starts and ends."""

JOB_START_MARKER = "beginning: job"  # how a rank's log begins each time that its job is started
JOB_END_MARKER = "this job ends here"  # how a job says that it does not continue, or how; see launch/job/requeue.py
