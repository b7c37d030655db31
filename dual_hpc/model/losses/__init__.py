"""Classification losses, chosen by `model.loss`: each file but these two registers the loss that it is named after.

`registry.py` has the names, `classification.py` what all of them share.
"""
