"""Log-mel features as the feature extractors of transformers make them, in torch, by batch and without padding effects.

A front end takes a waveform f32 [B, N], zero beyond lengths [B], and gives the model's inputs by name, and how many of
the model's output steps [B] are the sample's.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from dual_hpc.model.masking import blank, full_precision, pad_steps, prefix_mask
from dual_hpc.model.torchaudio_stub import install

install()

from transformers.audio_utils import mel_filter_bank, window_function  # noqa: E402

Inputs = dict[str, torch.Tensor]


class MelFront:
    """What all front ends share.

    Args:
        sample_rate: Hz.
        config: of the model, as an object.
        given: settings of the feature extractor that differ from its defaults.

    Attributes:
        rate_hz: steps of the model's output per second.
        most_seconds: the longest utterance; None: no limit.
    """

    known: tuple[str, ...] = ()
    rate_hz: float
    most_seconds: float | None = None

    @classmethod
    def settings(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Those of a feature extractor's settings that are used here."""
        return {name: values[name] for name in cls.known if values.get(name) is not None}

    @classmethod
    def sizes(cls, sample_rate: int, seconds: float) -> dict[str, Any]:
        """Keys of the configuration of a new model that depend on the longest utterance."""
        return {}

    def __init__(self, sample_rate: int, config: Any, given: Mapping[str, Any]) -> None:
        raise NotImplementedError

    def most_steps(self, samples: int) -> int:
        """Steps that the longest utterance of a batch of so many samples can have."""
        raise NotImplementedError

    def __call__(self, waveform: torch.Tensor, lengths: torch.Tensor) -> tuple[Inputs, torch.Tensor]:
        raise NotImplementedError


class WhisperFront(MelFront):
    """Whisper's: every utterance is continued with silence up to the one length that the model takes."""

    known = ("feature_size", "hop_length", "n_fft")

    @classmethod
    def sizes(cls, sample_rate: int, seconds: float) -> dict[str, Any]:
        return {"max_source_positions": max(2, -int(-seconds * sample_rate // 320))}

    def __init__(self, sample_rate: int, config: Any, given: Mapping[str, Any]) -> None:
        self.hop, self.fft = int(given.get("hop_length", 160)), int(given.get("n_fft", 400))
        self.mels, self.rate = int(given.get("feature_size", config.num_mel_bins)), sample_rate
        if self.mels != config.num_mel_bins:
            raise ValueError(f"feature_size is {self.mels}, but the model has num_mel_bins {config.num_mel_bins}")
        self.positions = int(config.max_source_positions)
        self.samples = 2 * self.positions * self.hop
        self.rate_hz = sample_rate / self.hop / 2
        self.most_seconds = self.samples / sample_rate

    def most_steps(self, samples: int) -> int:
        return -(-samples // (2 * self.hop))

    def __call__(self, waveform: torch.Tensor, lengths: torch.Tensor) -> tuple[Inputs, torch.Tensor]:
        waveform = pad_steps(waveform, self.samples)[:, : self.samples]
        with full_precision(waveform):
            window = torch.hann_window(self.fft, device=waveform.device)
            spectrum = torch.stft(waveform, self.fft, self.hop, window=window, return_complex=True)[..., :-1]
            filters = _filters(self.fft // 2 + 1, self.mels, self.rate, "slaney", waveform.device)
            found = (filters.T @ spectrum.abs().square()).clamp_min(1e-10).log10()
            found = torch.maximum(found, found.amax(dim=(1, 2), keepdim=True) - 8.0)
        steps = torch.div(lengths + 2 * self.hop - 1, 2 * self.hop, rounding_mode="floor")
        return {"input_features": (found + 4.0) / 4.0}, steps


class KaldiFront(MelFront):
    """SeamlessM4T's and wav2vec2-BERT's: Kaldi's filter bank, bands normalised over the utterance, frames in pairs."""

    known = ("num_mel_bins", "stride")
    frame, hop, fft = 400, 160, 512

    @classmethod
    def sizes(cls, sample_rate: int, seconds: float) -> dict[str, Any]:
        return {}

    def __init__(self, sample_rate: int, config: Any, given: Mapping[str, Any]) -> None:
        self.mels, self.stride = int(given.get("num_mel_bins", 80)), int(given.get("stride", 2))
        self.rate = sample_rate
        if self.mels * self.stride != config.feature_projection_input_dim:
            raise ValueError(
                f"{self.mels} bands x {self.stride} are not feature_projection_input_dim "
                f"{config.feature_projection_input_dim}"
            )
        self.rate_hz = sample_rate / self.hop / self.stride
        self.shortest = self.frame + (self.stride - 1) * self.hop

    def most_steps(self, samples: int) -> int:
        return (max(samples, self.shortest) - self.frame + self.hop) // self.hop // self.stride

    def __call__(self, waveform: torch.Tensor, lengths: torch.Tensor) -> tuple[Inputs, torch.Tensor]:
        waveform = pad_steps(waveform, self.shortest)
        heard = lengths.clamp_min(self.shortest)
        frames = torch.div(heard - self.frame, self.hop, rounding_mode="floor") + 1
        with full_precision(waveform):
            pieces = waveform.unfold(1, self.frame, self.hop) * 2**15
            pieces = pieces - pieces.mean(dim=2, keepdim=True)
            pieces = torch.cat([pieces[..., :1] * (1 - 0.97), pieces[..., 1:] - 0.97 * pieces[..., :-1]], dim=2)
            power = torch.fft.rfft(pieces * _povey(self.frame, waveform.device), self.fft).abs().square()
            filters = _filters(self.fft // 2 + 1, self.mels, self.rate, "kaldi", waveform.device)
            found = (power @ filters).clamp_min(1.192092955078125e-07).log()
            found = _normalized(found, frames, lambda variance: (variance + 1e-7).sqrt())
        size = found.shape[1] // self.stride
        steps = torch.div(frames, self.stride, rounding_mode="floor")
        mask = prefix_mask(steps, size)
        stacked = found[:, : size * self.stride].reshape(found.shape[0], size, self.stride * self.mels)
        return {"input_features": blank(stacked, mask), "attention_mask": mask.long()}, steps


class ParakeetFront(MelFront):
    """Parakeet's (NeMo's): pre-emphasis, Slaney's filters, each band normalised over the utterance."""

    known = ("feature_size", "hop_length", "n_fft", "win_length", "preemphasis")

    def __init__(self, sample_rate: int, config: Any, given: Mapping[str, Any]) -> None:
        self.mels = int(given.get("feature_size", config.num_mel_bins))
        if self.mels != config.num_mel_bins:
            raise ValueError(f"feature_size is {self.mels}, but the model has num_mel_bins {config.num_mel_bins}")
        self.hop, self.fft = int(given.get("hop_length", 160)), int(given.get("n_fft", 512))
        self.window, self.emphasis = int(given.get("win_length", 400)), float(given.get("preemphasis", 0.97))
        self.rate, self.factor = sample_rate, int(config.subsampling_factor)
        self.kernel, self.stride = int(config.subsampling_conv_kernel_size), int(config.subsampling_conv_stride)
        self.rate_hz = sample_rate / self.hop / self.factor
        self.shortest = 2 * self.hop

    def most_steps(self, samples: int) -> int:
        return int(self._steps(torch.tensor([max(samples, self.shortest) // self.hop])))

    def _steps(self, frames: torch.Tensor) -> torch.Tensor:
        padding = (self.kernel - 1) // 2
        for _ in range(self.factor.bit_length() - 1):
            frames = torch.div(frames + 2 * padding - self.kernel, self.stride, rounding_mode="floor") + 1
        return frames

    def __call__(self, waveform: torch.Tensor, lengths: torch.Tensor) -> tuple[Inputs, torch.Tensor]:
        waveform = pad_steps(waveform, self.shortest)
        heard = lengths.clamp_min(self.shortest)
        frames = torch.div(heard, self.hop, rounding_mode="floor")
        with full_precision(waveform):
            waveform = torch.cat([waveform[:, :1], waveform[:, 1:] - self.emphasis * waveform[:, :-1]], dim=1)
            waveform = blank(waveform, prefix_mask(heard, waveform.shape[1]))
            window = torch.hann_window(self.window, periodic=False, device=waveform.device)
            half = self.fft // 2
            spectrum = torch.stft(
                functional.pad(waveform, (half, half)),
                self.fft,
                self.hop,
                self.window,
                window,
                center=False,
                return_complex=True,
            )
            filters = _filters(half + 1, self.mels, self.rate, "slaney", waveform.device)
            found = (filters.T @ spectrum.abs().square() + 2**-24).log().transpose(1, 2)
            found = _normalized(found, frames, lambda variance: variance.sqrt() + 1e-5)
        mask = prefix_mask(frames, found.shape[1])
        return {"input_features": blank(found, mask), "attention_mask": mask}, self._steps(frames)


FRONTS: dict[str, type[MelFront]] = {
    "WhisperFeatureExtractor": WhisperFront,
    "SeamlessM4TFeatureExtractor": KaldiFront,
    "ParakeetFeatureExtractor": ParakeetFront,
}


def _normalized(bands: torch.Tensor, frames: torch.Tensor, deviation: Any) -> torch.Tensor:
    """Each band [B, T, M] with zero mean and unit deviation over its sample's frames [B], given the variance."""
    mask = prefix_mask(frames, bands.shape[1])
    count = frames.view(-1, 1, 1)
    mean = blank(bands, mask).sum(dim=1, keepdim=True) / count
    variance = blank(bands - mean, mask).square().sum(dim=1, keepdim=True) / (count - 1).clamp_min(1)
    return (bands - mean) / deviation(variance)


@lru_cache(maxsize=8)
def _filters(bins: int, mels: int, rate: int, scale: str, device: torch.device) -> torch.Tensor:
    """Triangular mel filters, f32 [bins, mels]; "slaney" from 0 Hz with equal areas, or "kaldi" from 20 Hz."""
    kaldi = scale == "kaldi"
    found = mel_filter_bank(
        num_frequency_bins=bins,
        num_mel_filters=mels,
        min_frequency=20 if kaldi else 0.0,
        max_frequency=rate // 2,
        sampling_rate=rate,
        norm=None if kaldi else "slaney",
        mel_scale=scale,
        triangularize_in_mel_space=kaldi,
    )
    with torch.inference_mode(False):
        return torch.from_numpy(np.ascontiguousarray(found)).float().to(device)


@lru_cache(maxsize=8)
def _povey(size: int, device: torch.device) -> torch.Tensor:
    with torch.inference_mode(False):
        return torch.from_numpy(window_function(size, "povey", periodic=False)).float().to(device)
