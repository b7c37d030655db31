"""The operations of DUAL beside what torch offers for them: `python -m benchmarks.kernels`.

On a GPU torchrl's Triton LSTM takes part if torchrl is installed; it is no dependency of the project.
"""
