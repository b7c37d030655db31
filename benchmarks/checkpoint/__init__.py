"""What saving costs a training."""
