"""The operations of DUAL compared with what torch offers for them: `python -m benchmarks.kernels`.

On a GPU torchrl's Triton LSTM, haste, FlashRNN, Liger-Kernel's LayerNorm and flash-linear-attention's token_shift take
part where they are installed; they are not dependencies of the project, and a report without them says so.
"""
