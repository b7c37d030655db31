"""Where the tests of a process compute: on the CPU, as everywhere, or with `-m gpu` on a GPU; never on both.

Triton's interpreter is chosen for a whole process, before triton is imported; and what runs on the CPU where there is
no GPU must run there where there is one as well, or the suite would test something else on such a machine.
"""

from __future__ import annotations

import os
import re
from collections.abc import MutableMapping


def only_gpu(expression: str) -> bool:
    """Whether pytest's `-m` asks for the tests of the GPU, as in "gpu" and "gpu and not slow"."""
    return re.search(r"(?<!not )\bgpu\b", expression) is not None


def choose_device(expression: str, environ: MutableMapping[str, str] = os.environ) -> None:
    """Set the environment of this process for the tests that `-m` selects."""
    if only_gpu(expression):
        environ.pop("TRITON_INTERPRET", None)
    else:
        environ.update({"TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""})
