"""Training under DeepSpeed: `run.train` reads from top to bottom; everything it uses is one file each."""
