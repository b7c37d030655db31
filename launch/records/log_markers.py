"""Lines that a job writes into its ranks' logs; `dual-hpc why` finds by them where a job starts and ends."""

JOB_START_MARKER = "beginning: job"  # first line of a rank's log at each start of its job
JOB_END_MARKER = "this job ends here"  # followed by how the job continues, or why not; see launch/job/requeue.py
UNFIT_NODE = "dual-hpc: node"  # then its name and what it lacks; launch/bootstrap.py, which imports nothing, prints it
