"""torchaudio without its compiled extension, which is never needed here.

torchaudio's wheels are built for one version of CUDA; with a torch for another one, or for the CPU, the compiled part
cannot load, the whole package fails to import, and with it the wav2vec 2.0 classes of transformers. Nothing compiled is
used here, so a stub always takes the extension's place. Import this module before transformers.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from typing import Any

import torch

from dual_hpc.errors import EnvironmentFault

_EXTENSION = "torchaudio._extension"


def install() -> None:
    """Register the stub; harmless to repeat, and without torchaudio nothing happens."""
    if "torchaudio" in sys.modules or _EXTENSION in sys.modules:
        return
    if importlib.util.find_spec("torchaudio") is None:
        return
    stub: Any = types.ModuleType(_EXTENSION)
    stub._IS_TORCHAUDIO_EXT_AVAILABLE = False
    stub.fail_if_no_align = lambda function: function
    sys.modules[_EXTENSION] = stub


def mel_filters(bins: int, low_hz: float, high_hz: float, mels: int, rate: int) -> torch.Tensor:
    """Triangular HTK mel filters, f32 [bins, mels] (`torchaudio.functional.melscale_fbanks`).

    Raises:
        EnvironmentFault: torchaudio cannot be imported.
    """
    install()
    try:
        from torchaudio.functional import melscale_fbanks
    except (ImportError, OSError) as error:
        raise EnvironmentFault(f"the logmel encoder needs torchaudio, which cannot be imported: {error}") from error
    return melscale_fbanks(bins, low_hz, high_hz, mels, rate)
