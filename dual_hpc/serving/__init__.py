"""`dual-hpc serve`: a model behind HTTP, and a page that shows a recording with its timeline.

The server (this process) takes uploads and never reads a recording; the model works in a process of its own
(`worker.py`), which is ended where a recording takes too long, and started again where one makes a decoder crash.
"""
