"""Several models on the same samples: their scores, the differences between them, and how sure these are."""
