"""One encoder per modality, chosen by `kind`: a kind is one file of `audio/`, `video/` or `text/`, named like it.

Every encoder is a module with `output_size` (width of its features), `layers()` (its parts from bottom to top, for
partial freezing) and `forward`; audio encoders also have `rate_hz`. Features of masked steps are zero, and nothing that
masked input holds reaches a valid step. See `base.py` for what a kind is, and `registry.py` for the kinds there are.
"""
