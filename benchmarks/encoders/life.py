"""What becomes of one kind of encoder: export, prediction, extraction, bfloat16 and activations computed again."""

from __future__ import annotations

import copy
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.encoders.subject import (
    PREPROCESSING,
    TEXTS,
    batch_of,
    config_of,
    folder_of,
    model_of,
    tokenizer,
)
from dual_hpc.config.schema import DataConfig, TrainingConfig
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.format.reader import SampleReader
from dual_hpc.data.loader import EvalLoader
from dual_hpc.inference import Predictor
from dual_hpc.model import load_model, save_model
from dual_hpc.model.execution import prepare_execution
from shards.encoders import encoders_of_model
from shards.extraction import extract

_BATCH = 4


def life_of(modality: str, kind: str, work: Path, clips: Path) -> dict[str, str]:
    """Export, prediction and extraction of one kind: what was equal, or why not."""
    found: dict[str, str] = {}
    model = model_of(config_of(modality, kind, str(folder_of(work, modality, kind)))).eval()
    saved = work / "saved" / modality / kind
    save_model(model, tokenizer() if modality == "text" else None, saved)
    again, _ = load_model(saved)
    batch = {name: values for name, values in batch_of(modality).items() if name != "labels"}
    with torch.no_grad():
        change = float((again(**batch).logits - model(**batch).logits).abs().max())
        found["export"] = f"{change:.0e}" if change else "equal"
    answers = [
        Predictor.from_pretrained(saved, "cpu").predict(clips.parent / f"0.{end}", TEXTS[0]) for end in ("wav", "mp4")
    ]
    used = [answer for answer in answers if answer.modalities == [modality]]
    found["predict"] = (
        "answers" if used and all(abs(sum(a.probabilities.values()) - 1) < 1e-5 for a in used) else "nothing"
    )
    encoders = encoders_of_model(saved)
    out = work / "features" / modality / kind
    extract(clips, out, encoders, dtype="float32", batch_size=_BATCH, progress=False)
    found["extract"] = f"{_most_different(clips, out, modality, encoders):.0e}"
    found["bf16"] = f"{_change_by_bf16(model, modality, batch):.0e}"
    found["recompute"] = _recomputed(modality, kind, work)
    parameters = list(getattr(model_of(config_of(modality, kind, None)), f"{modality}_encoder").parameters())
    trained = sum(one.numel() for one in parameters if one.requires_grad)
    found["trained"] = f"{trained:,} of {sum(one.numel() for one in parameters):,}"
    return found


def _change_by_bf16(model: Any, modality: str, batch: dict[str, torch.Tensor]) -> float:
    """Largest difference of the logits where the encoder is in bfloat16 and all else in fp32."""
    half = copy.deepcopy(model)
    encoder = getattr(half, f"{modality}_encoder")
    encoder.bfloat16()
    exact = encoder.forward

    def forward(*arguments: torch.Tensor) -> Any:
        found = exact(*arguments)
        return found.float() if modality == "video" else (found[0].float(), found[1])

    encoder.forward = forward
    with torch.no_grad():
        return float((half(**batch).logits - model(**batch).logits).abs().max())


def _recomputed(modality: str, kind: str, work: Path) -> str:
    """Gradients with activations computed again beside those without, and the bytes that the forward pass keeps."""
    gradients, kept = [], []
    for how in ("none", "encoders"):
        model = model_of(config_of(modality, kind, str(folder_of(work, modality, kind)))).train()
        prepare_execution(model, TrainingConfig(activation_checkpointing=how), "cpu")
        held: dict[int, int] = {}

        def keep(tensor: torch.Tensor, held: dict[int, int] = held) -> torch.Tensor:
            held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = model(**batch_of(modality)).loss
        weights = {one.untyped_storage().data_ptr() for one in model.parameters()}
        kept.append(sum(size for place, size in held.items() if place not in weights))
        loss.backward()
        gradients.append({name: one.grad for name, one in model.named_parameters() if one.grad is not None})
    plain, again = gradients
    equal = plain.keys() == again.keys() and all(torch.equal(plain[name], again[name]) for name in plain)
    return f"{'equal' if equal else 'differs'}, {kept[1] / 1e6:.1f} of {kept[0] / 1e6:.1f} MB"


def _most_different(clips: Path, out: Path, modality: str, encoders: Any) -> float:
    """Largest difference between stored features and those that the encoder gives of each clip alone."""
    media, stored = ShardDataset([clips]), ShardDataset([out])
    wanted = {key: value for key, value in PREPROCESSING.items() if key in DataConfig.model_fields}
    loader = EvalLoader(
        media,
        list(range(len(media))),
        [-100] * len(media),
        DataConfig(**wanted, workers=0, micro_batch=1),
        encoders.tokenizer,
    )
    online = {}
    try:
        for batch in loader:
            online |= dict(zip(batch["keys"], encoders.features(batch), strict=True))
    finally:
        loader.close()
    worst = 0.0
    with SampleReader() as reader:
        for number, entry in enumerate(media.samples):
            array = np.load(io.BytesIO(reader.read(stored.ref(number))[f"{modality}.npy"]))
            alone = online[entry.sample.meta.key][modality].numpy()
            assert array.shape == alone.shape, (array.shape, alone.shape)
            worst = max(worst, float(np.abs(array - alone).max()))
    return worst
