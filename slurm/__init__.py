"""What the project knows about clusters: `profiles/` as data, `devcluster/` as a real Slurm on one machine."""
