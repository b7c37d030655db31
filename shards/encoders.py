"""Frozen encoders for feature shards: those of a saved model, or pretrained ones that a configuration names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dual_hpc.config import RunConfig
from dual_hpc.data.batch import Batch
from dual_hpc.errors import UserError
from dual_hpc.model import EmotionModel, build_model, load_model, load_tokenizer

MODALITIES = ("audio", "video", "text")


@dataclass(frozen=True)
class FrozenEncoders:
    """Encoders in evaluation mode on their device, and what their inputs look like."""

    modules: dict[str, Any]  # modality -> encoder
    tokenizer: Any
    preprocessing: dict[str, Any]  # see EmotionConfig
    identity: dict[str, str]  # modality -> hash of kind, configuration and weights
    device: torch.device

    @torch.inference_mode()
    def features(self, batch: Batch) -> Iterator[dict[str, torch.Tensor]]:
        """Per row of a batch: modality -> [T, D] float32 on the CPU; a modality that the row lacks is absent."""
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
        on_cpu = {name: (array.float().cpu(), lengths.tolist()) for name, (array, lengths) in found.items()}
        for row in range(len(batch["keys"])):
            yield {name: array[row, : n[row]] for name, (array, n) in on_cpu.items() if n[row] > 0}


def encoders_of_model(folder: Path) -> FrozenEncoders:
    """The encoders of a saved model.

    Raises:
        UserError: the directory holds no saved model, or one without encoders of its own.
    """
    model, tokenizer = load_model(folder)
    return _frozen(model, tokenizer)


def encoders_of_config(config: RunConfig) -> FrozenEncoders:
    """The pretrained encoders that `model.audio.path`, `model.video.path` and `model.text.path` name.

    Raises:
        UserError: a modality in use has no pretrained encoder, or its directory is not one.
    """
    for name in MODALITIES:
        if getattr(config.model, f"use_{name}") and getattr(config.model, name).path is None:
            raise UserError(
                f"model.{name}.path: is not set, and an untrained encoder has nothing to extract; name a pretrained "
                f"directory, switch the modality off (model.use_{name}=false), or give a trained --model"
            )
    tokenizer = load_tokenizer(config.model.text.path) if config.model.use_text and config.model.text.path else None
    data = config.data
    preprocessing = {
        "sample_rate": 16_000,
        "image_size": data.image_size,
        "video_hz": data.video_hz,
        "max_seconds": data.max_seconds,
        "max_tokens": data.max_tokens,
    }
    return _frozen(build_model(config.model, ["any"], preprocessing, None, tokenizer), tokenizer)


def _frozen(model: EmotionModel, tokenizer: Any) -> FrozenEncoders:
    if model.config.reads_features:
        raise UserError("--model: it was trained on features; give the model whose encoders made them")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    modules, identity = {}, {}
    for name in MODALITIES:
        encoder = getattr(model, f"{name}_encoder")
        if encoder is None:
            continue
        identity[name] = _identity(getattr(model.config, name), encoder)
        modules[name] = encoder.eval().requires_grad_(False).to(device)
    return FrozenEncoders(modules, tokenizer, dict(model.config.preprocessing), identity, device)


def _identity(spec: dict[str, Any], encoder: torch.nn.Module) -> str:
    described = {key: value for key, value in spec.items() if key != "trainable"}
    digest = hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode())
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:32]
