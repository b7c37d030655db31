"""What each kind of encoder is tried on: a tiny folder of weights, a model around it, a batch, and four clips."""

from __future__ import annotations

import csv
import wave
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from dual_hpc.config import RunConfig, validate
from dual_hpc.model import build_model, build_tokenizer
from dual_hpc.model.encoders.kinds import KINDS
from dual_hpc.model.encoders.pretrained import Architecture
from shards.options import PackOptions
from shards.packing import pack

import transformers  # isort: skip  (after the torchaudio stub)

LABELS, RANKS = ["a", "b", "c"], 2
PREPROCESSING = {"sample_rate": 16_000, "image_size": 32, "video_hz": 5.0, "max_seconds": 3.0, "max_tokens": 16}
TEXTS = ["are you there", "who is there then", "you are here", "who are you"]
LORA = "+lora"  # of a kind's name: trained by LoRA, on a mix of all layers
WITH_LORA = {"audio": ("wavlm", "whisper"), "video": ("clip", "videomae"), "text": ("roberta", "qwen3")}


def every_kind(some: list[str]) -> list[tuple[str, str]]:
    """Modality and kind; those of each form with LoRA as well. Of `some` alone, if it names any."""
    every = [(m, k) for m, table in KINDS.items() for k in (*table, *(f"{one}{LORA}" for one in WITH_LORA[m]))]
    return [(m, k) for m, k in every if not some or k in some or k.removesuffix(LORA) in some]


def folder_of(work: Path, modality: str, kind: str) -> Path:
    """Where a kind's weights are."""
    return work / modality / kind.removesuffix(LORA)


def tokenizer() -> Any:
    return build_tokenizer(TEXTS, minimum_count=1)


def config_of(modality: str, kind: str, path: str | None, stage: int = 0) -> RunConfig:
    """A model of this modality alone, in fp32 and without dropout, which ranks would draw differently."""
    model = {"family": f"{modality}_only", "hidden_size": 16, "num_heads": 2, "dropout": 0, "options": {"width": 16}}
    lora = {"trainable": "lora", "layers": "mix", "lora": {"rank": 4}} if kind.endswith(LORA) else {}
    return validate(
        {
            "data": {"global_batch": 2 * RANKS},
            "model": {**model, modality: {"kind": kind.removesuffix(LORA), "path": path, **lora}},
            "training": {"zero_stage": stage, "precision": "fp32"},
        }
    )


def model_of(config: RunConfig) -> Any:
    torch.manual_seed(0)
    made = build_model(config.model, LABELS, PREPROCESSING, [2, 1, 1], tokenizer())
    for module in made.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return made


def write_folder(modality: str, kind: str, folder: Path) -> None:
    """Random weights as transformers writes them."""
    fresh = build_model(config_of(modality, kind, None).model, LABELS, PREPROCESSING, [2, 1, 1], tokenizer())
    config = getattr(fresh.config, modality)["config"]
    if "model_type" not in config:
        return
    chances = {key: value for key, value in config.items() if "drop" in key and type(value) in (int, float)}
    without = {key: type(value)(0) for key, value in chances.items()}  # some take whole numbers alone
    torch.manual_seed(1)
    made = Architecture(config["model_type"]).config_class.from_dict({**config, **without})
    transformers.AutoModel.from_config(made).save_pretrained(folder)
    tokenizer().save_pretrained(folder)


def batch_of(modality: str) -> dict[str, torch.Tensor]:
    """Two utterances for each rank, of unlike lengths; the last has nothing to hear, see or read."""
    random = torch.Generator().manual_seed(2)
    size = 2 * RANKS
    found = {"durations": torch.full((size,), 1.2), "labels": torch.arange(size) % len(LABELS)}
    if modality == "audio":
        lengths = torch.tensor([16_000, 9_000, 12_345, 0])
        return {**found, "waveform": torch.randn(size, 16_000, generator=random) / 10, "waveform_lengths": lengths}
    if modality == "video":
        frames = torch.randint(0, 256, (size, 6, 3, 32, 32), generator=random, dtype=torch.uint8)
        return {**found, "frames": frames, "frame_lengths": torch.tensor([6, 3, 5, 0])}
    mask = (torch.arange(7) < torch.tensor([7, 3, 5, 0]).unsqueeze(1)).long()
    return {**found, "input_ids": torch.randint(4, 10, (size, 7), generator=random), "attention_mask": mask}


def write_clips(folder: Path) -> Path:
    """Four short clips with sound, pictures and words, packed; returns the shards."""
    random = np.random.default_rng(0)
    rows = []
    for number, text in enumerate(TEXTS):
        seconds = 0.8 + 0.3 * number
        sound = (random.standard_normal(int(16_000 * seconds)) * 3_000).astype("<i2")
        with wave.open(str(folder / f"{number}.wav"), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes(sound.tobytes())
        with av.open(str(folder / f"{number}.mp4"), "w") as file:
            stream: Any = file.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
            for _ in range(int(10 * seconds)):
                picture = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
                file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
            file.mux(stream.encode(None))
        rows.append([f"u{number}", f"{number}.wav", f"{number}.mp4", text, LABELS[number % 3]])
    with (folder / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "audio", "video", "text", "label"], *rows])
    pack("manifest", folder / "table.csv", folder / "shards", PackOptions(video_size=32), progress=False)
    return folder / "shards"
