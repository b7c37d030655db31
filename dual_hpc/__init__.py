"""dual_hpc: train DUAL, a low-text emotion recognition model, on SLURM clusters.

The rooms, in the order data passes through them: ``data`` reads shards, ``model`` is DUAL (its fused operations in
``kernels``), ``training`` runs it under DeepSpeed, ``checkpoint`` and ``tracking`` keep what it learns,
``evaluation`` measures it, ``inference`` serves it. ``config`` and ``errors`` are used by all.
"""

__version__ = "0.1.0"
