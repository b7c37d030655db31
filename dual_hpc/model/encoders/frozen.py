"""Frozen encoders: what makes features of media, in `dual-hpc extract` once, and in front of a model of features."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass(frozen=True)
class FrozenEncoders:
    """Encoders in evaluation mode on their device, and what their inputs look like.

    Attributes:
        modules: modality -> encoder.
        preprocessing: see `EmotionConfig`.
        identity: modality -> hash of kind, configuration and weights.
        origin: what `dual_hpc.model.encoders.origin` records of them, as JSON; None: not known.
        layers: modality -> how many lie side by side, where it may be several.
        dtype: in which their features are stored.
        in_bf16: those that `round_to_bf16` has to be applied to before they encode, as when they made the features.
    """

    modules: dict[str, Any]
    tokenizer: Any
    preprocessing: dict[str, Any]
    identity: dict[str, str]
    device: torch.device
    origin: str | None = None
    layers: dict[str, int] = field(default_factory=dict)
    dtype: str = "float32"
    in_bf16: frozenset[str] = frozenset()

    def encode(self, batch: Mapping[str, Any]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """A batch of media -> modality -> features [B, S, E] and their lengths [B], on the encoders' device."""
        inputs = {name: t.to(self.device) for name, t in batch.items() if isinstance(t, torch.Tensor)}
        found: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        if "audio" in self.modules:
            found["audio"] = self.modules["audio"](inputs["waveform"], inputs["waveform_lengths"])
        if "video" in self.modules:
            lengths = inputs["frame_lengths"]
            found["video"] = (self.modules["video"](inputs["frames"], lengths), lengths)
        if "text" in self.modules:
            words, mask = self.modules["text"](inputs["input_ids"], inputs["attention_mask"])
            found["text"] = (words, mask.sum(dim=1))
        return found

    @torch.inference_mode()
    def features(self, batch: Mapping[str, Any]) -> Iterator[dict[str, torch.Tensor]]:
        """Per row of a batch: modality -> [T, D] float32 on the CPU; a modality that the row lacks is absent."""
        on_cpu = {name: (array.float().cpu(), n.tolist()) for name, (array, n) in self.encode(batch).items()}
        for row in range(len(batch["keys"])):
            yield {name: array[row, : n[row]] for name, (array, n) in on_cpu.items() if n[row] > 0}


def round_to_bf16(module: torch.nn.Module) -> None:
    """Round the parameters; buffers, such as angles of positions, keep their precision."""
    for parameter in module.parameters():
        parameter.data = parameter.data.bfloat16()


def identity_of(spec: dict[str, Any], encoder: torch.nn.Module) -> str:
    """A hash of an encoder's description and weights: the same for encoders that make the same features."""
    described = {key: value for key, value in spec.items() if key != "trainable"}
    digest = hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode())
    _add_weights(digest, encoder)
    return digest.hexdigest()[:32]


def weights_of(encoder: torch.nn.Module) -> str:
    """SHA-256 of an encoder's weights alone, by the names of its tensors."""
    digest = hashlib.sha256()
    _add_weights(digest, encoder)
    return digest.hexdigest()


def words_of(tokenizer: Any) -> str | None:
    """A hash of a tokenizer's words and their numbers; None without one."""
    if tokenizer is None:
        return None
    return hashlib.sha256(json.dumps(sorted(tokenizer.get_vocab().items())).encode()).hexdigest()[:32]


def _add_weights(digest: Any, encoder: torch.nn.Module) -> None:
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
