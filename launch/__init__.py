"""How things are started: the `dual-hpc` command, submission through submitit, cluster profiles, the demonstration."""
