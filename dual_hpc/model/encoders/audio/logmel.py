"""The audio encoder that needs no pretrained weights: a log-mel spectrogram and a small convolutional stack."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from dual_hpc.model.encoders.base import Encoder, OwnEncoder
from dual_hpc.model.encoders.log_mel import LogMel
from dual_hpc.model.encoders.registry import AUDIO
from dual_hpc.model.masking import blank, pad_steps, prefix_mask


class LogMelEncoder(Encoder):
    """Log-mel frames (50 per second), then residual convolutions over time at half that rate.

    The window is long (50 ms) and the band narrow (50-5000 Hz) so that neighbouring harmonics stay apart: prosody is
    in how they move.

    Args:
        channels: width of the stack and of the features.
        blocks: residual blocks.
        mels: bands of the spectrogram.
        normalize: bring each utterance to one level first, so that the features do not know how loud it was recorded.
            Models written before this setting existed are without.
    """

    def __init__(
        self,
        sample_rate: int = 16_000,
        channels: int = 64,
        blocks: int = 3,
        mels: int = 80,
        low_hz: float = 50.0,
        high_hz: float = 5_000.0,
        window: int = 800,
        hop: int = 320,
        fft: int = 1_024,
        normalize: bool = True,
    ) -> None:
        super().__init__()
        self.output_size = channels
        self.hop = hop
        self.spectrogram = LogMel(sample_rate, mels, low_hz, high_hz, window, hop, fft, normalize)
        self.rate_hz = sample_rate / hop / 2
        self.stem = ConvNorm(mels, channels, kernel=5)
        # Kernel 4 with stride 2 centres step k of the output exactly between steps 2k and 2k + 1.
        self.halve = ConvNorm(channels, channels, kernel=4, stride=2)
        self.blocks = nn.ModuleList([ConvNorm(channels, channels, kernel=5) for _ in range(blocks)])

    def layers(self) -> Sequence[nn.Module]:
        return [self.stem, self.halve, *self.blocks]

    def forward(self, waveform: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """waveform f32 [B, N] and lengths [B] samples -> features [B, S, channels] and their lengths [B]."""
        frames = self.spectrogram.frames(lengths)
        x = self.spectrogram(waveform, lengths).to(self.dtype)
        x = pad_steps(x, x.shape[1] + x.shape[1] % 2)
        x = self.stem(x, prefix_mask(frames, x.shape[1]))
        halves = torch.div(frames + 1, 2, rounding_mode="floor")
        x = self.halve(x, prefix_mask(frames, x.shape[1]))
        mask = prefix_mask(halves, x.shape[1])
        for block in self.blocks:
            x = x + block(x, mask)
        return blank(x, mask), halves


class ConvNorm(nn.Module):
    """Masked convolution over time, LayerNorm over channels (so a step never sees padding), GELU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, stride=stride, padding=(kernel - 1) // 2)
        self.norm = nn.LayerNorm(outputs)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """x [B, S, inputs], mask bool [B, S] -> [B, S / stride, outputs]."""
        x = self.conv(blank(x, mask).transpose(1, 2)).transpose(1, 2)
        return functional.gelu(self.norm(x))


AUDIO.register("logmel", OwnEncoder(LogMelEncoder, ["sample_rate"], added={"normalize": (False, True)}))
