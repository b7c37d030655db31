"""Kinds of video encoders: each file registers the kind that it is named after."""
