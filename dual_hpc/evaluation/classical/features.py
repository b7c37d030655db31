"""Hand-made features of an utterance's sound: one vector, whatever its length."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dual_hpc.data.format.sample import AUDIO_RATE
from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.model.encoders.level import normalize_level
from dual_hpc.model.torchaudio_stub import mel_filters

Wave = NDArray[np.float32]
Vector = NDArray[np.float64]
_FFT, _HOP, _WINDOW, _MELS, _CEPSTRA = 512, 160, 400, 40, 20
_FLOOR = 1e-6


def mfcc_statistics(wave: Wave) -> Vector:
    """Mean, deviation, 10th and 90th percentile over time of 20 MFCC and of their differences, f64 [160].

    Windows of 25 ms every 10 ms, 40 mel bands up to 8 kHz, at one level, as the encoders of sound have it.
    """
    sound = torch.from_numpy(wave)[None]
    sound = normalize_level(sound, torch.tensor([len(wave)]))[0]
    sound = torch.nn.functional.pad(sound, (0, max(0, _FFT - len(wave))))
    window, filters, transform = _constants()
    spectrum = torch.stft(sound, _FFT, _HOP, _WINDOW, window, center=False, return_complex=True).abs().square().T
    cepstra = ((spectrum / window.sum()) @ filters).clamp_min(_FLOOR).log() @ transform
    changes = torch.diff(cepstra, dim=0, prepend=cepstra[:1])
    both = torch.cat([cepstra, changes], dim=1).double()  # [frames, 40]
    low, high = torch.quantile(both, torch.tensor([0.1, 0.9], dtype=torch.float64), dim=0)
    return torch.cat([both.mean(0), both.std(0, unbiased=False), low, high]).numpy()


@cache
def _constants() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Window, mel filters [257, 40] and the cosine transform [40, 20]."""
    angle = (torch.arange(_MELS) + 0.5)[:, None] * torch.arange(_CEPSTRA) * (torch.pi / _MELS)
    return torch.hann_window(_WINDOW), mel_filters(_FFT // 2 + 1, 20.0, 8_000.0, _MELS, AUDIO_RATE), angle.cos()


def egemaps(wave: Wave) -> Vector:
    """The 88 functionals of eGeMAPS v02 (Eyben et al., 2016), f64 [88], by openSMILE.

    Raises:
        EnvironmentFault: the package is not installed.
    """
    found = _smile().process_signal(wave, AUDIO_RATE).to_numpy(np.float64)[0]
    return np.nan_to_num(found, nan=0.0, posinf=0.0, neginf=0.0)


@cache
def _smile() -> Any:
    try:
        import opensmile
    except ImportError as error:
        raise EnvironmentFault(
            "--features egemaps needs the package opensmile, which is not installed: pip install 'dual-hpc[egemaps]' "
            "(its licence allows research, not commercial use)"
        ) from error
    return opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)


FEATURES: dict[str, Callable[[Wave], Vector]] = {"mfcc": mfcc_statistics, "egemaps": egemaps}


def features_named(name: str) -> Callable[[Wave], Vector]:
    """The features of a name.

    Raises:
        UserError: there are none of this name.
    """
    if name not in FEATURES:
        raise UserError(f"--features: {name!r} is not one of {', '.join(FEATURES)}")
    return FEATURES[name]
