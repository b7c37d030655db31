"""What saving costs a training."""

STEPS = 6  # after every save: enough for it to end meanwhile
