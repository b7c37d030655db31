"""Without a GPU the Triton kernels run in Triton's interpreter, which must be chosen before triton is imported."""

import os

import torch

torch.set_num_threads(1)
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
