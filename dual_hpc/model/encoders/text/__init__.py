"""Kinds of text encoders: each file registers the kind that it is named after."""
