"""How work gets onto machines: the `dual-hpc` command, submission through submitit, cluster profiles, the demo."""
