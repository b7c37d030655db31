"""Every kind of encoder, through the whole of its life; see `__main__`."""
