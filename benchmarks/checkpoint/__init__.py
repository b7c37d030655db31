"""What saving costs a training."""

STEPS = 6  # behind every save: enough for one to end beside them
