"""The log-mel spectrogram in front of the audio encoders that learn from scratch."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch.nn import functional

from dual_hpc.model.encoders.level import normalize_level
from dual_hpc.model.masking import blank, full_precision, pad_steps, prefix_mask
from dual_hpc.model.torchaudio_stub import mel_filters

_FLOOR = 1e-6  # power of a mel band that counts as silence: 40 dB below that of speech at one level


class LogMel:
    """Log power of mel bands. Not a module: its constants are fp32 whatever the precision of the model.

    Args:
        sample_rate: Hz.
        mels: bands between `low_hz` and `high_hz`.
        window, hop, fft: samples.
        normalize: bring each utterance to one level first, so that how loud it was recorded is not seen.
    """

    def __init__(
        self,
        sample_rate: int,
        mels: int,
        low_hz: float,
        high_hz: float,
        window: int,
        hop: int,
        fft: int,
        normalize: bool = True,
    ) -> None:
        self.window, self.hop, self.fft, self.normalize = window, hop, fft, normalize
        self.mels = (fft // 2 + 1, low_hz, high_hz, mels, sample_rate)

    def frames(self, lengths: torch.Tensor) -> torch.Tensor:
        """Frames of utterances of so many samples: i64 [B] -> i64 [B]."""
        return torch.div(lengths + self.hop - 1, self.hop, rounding_mode="floor")

    def __call__(self, waveform: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """waveform [B, N], lengths [B] -> f32 [B, ceil(N / hop), mels], about zero mean and unit spread for speech.

        Frame k is centred at (k + 0.5) * hop samples; beyond its end an utterance is silent, however it was padded.
        """
        waveform = blank(waveform.float(), prefix_mask(lengths, waveform.shape[1]))
        if self.normalize:
            waveform = normalize_level(waveform, lengths)
        waveform = pad_steps(waveform, 1)
        frames = -(-waveform.shape[1] // self.hop)
        before = (self.fft - self.hop) // 2
        after = (frames - 1) * self.hop + self.fft - before - waveform.shape[1]
        with full_precision(waveform):
            window, filters = _constants(self.window, self.mels, waveform.device)
            spectrum = torch.stft(
                functional.pad(waveform, (before, after)),
                n_fft=self.fft,
                hop_length=self.hop,
                win_length=self.window,
                window=window,
                center=False,
                return_complex=True,
            )
            power = (spectrum.real**2 + spectrum.imag**2).transpose(1, 2) / window.sum()
            return ((power @ filters).clamp_min(_FLOOR).log() + 7) / 4


@lru_cache(maxsize=8)
def _constants(
    window: int, mels: tuple[int, float, float, int, int], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Window and filters in fp32. Not buffers: those would be rounded when an engine casts the model to bf16."""
    with torch.inference_mode(False):
        return torch.hann_window(window, device=device), mel_filters(*mels).to(device)
