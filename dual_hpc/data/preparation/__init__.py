"""What is done to a recording before a model sees it: one code for packing and for prediction.

`record.py` says what was chosen, as it stands in the index of shards and in a saved model; `clip.py` does it.
"""
