"""The operations of DUAL that decide its speed: SDM, VDM and the alignment loss.

Each has a plain `reference`, a `torch` path that every machine can run, and a fused `triton` path; SDM also has one
that is `parallel` in time. `dispatch` chooses. Turning kernels on or off changes nothing but speed and memory.
Triton is optional: without it this package needs torch and numpy alone.
"""
