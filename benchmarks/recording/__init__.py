"""`python -m benchmarks.recording`: half an hour of generated speech with known emotions, answered window by window."""
