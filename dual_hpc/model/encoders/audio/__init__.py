"""Kinds of audio encoders: each file registers the kind that it is named after."""
