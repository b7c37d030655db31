"""Answers for packed utterances, labelled or not: folders of feature shards, or of media shards."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.features import check_readable, sets_of_model
from dual_hpc.data.format.feature_sets import sets_in
from dual_hpc.data.format.index import INDEX_NAME
from dual_hpc.data.format.sample import Utterance
from dual_hpc.data.loader import EvalLoader
from dual_hpc.errors import UserError
from dual_hpc.inference.predictor import Prediction, finite_rows, usable_device
from dual_hpc.modality import Modality, parse_subset
from dual_hpc.model import load_model
from dual_hpc.model.confidence import read_confidence
from dual_hpc.model.family import FAMILIES
from dual_hpc.model.with_encoders import WithEncoders, with_encoders

_BATCH = 8
_NO_LABEL = -100


@dataclass
class _Reading:
    """How the shards are read: `LoaderSettings`."""

    max_seconds: float
    video_hz: float
    image_size: int
    max_tokens: int
    global_batch: int = _BATCH
    micro_batch: int = _BATCH
    workers: int | Literal["auto"] = 0
    read_ahead: int = 2
    shuffle_window: int = 1
    bad_sample_limit: int = sys.maxsize  # what cannot be read is said of each
    bucket_by_length: bool = False


def is_packed(folder: str | Path) -> bool:
    """True for a folder of shards with their index, and for one of several sets of features."""
    path = Path(folder)
    return bool(sets_in(path)) or ((path / INDEX_NAME).is_file() and any(path.glob("*.tar")))


class PackedPredictor:
    """A saved model that answers the utterances of folders of shards.

    Args:
        device: torch's name; None takes a GPU where there is one.

    Raises:
        UserError: not a saved model, no such device, or shards that this model does not read.
    """

    def __init__(self, model_folder: str | Path, folders: Sequence[str | Path], device: str | None = None) -> None:
        self.device = usable_device(device)
        model: Any
        model, tokenizer = load_model(model_folder)
        self.shards = ShardDataset(folders, sets_of_model(model.config))
        check_readable(model.config, self.shards)
        made_by = model.config.preprocessing
        if model.config.reads_features and self.shards.kind == "media":
            model = with_encoders(model, model_folder)
            tokenizer, made_by = model.tokenizer, model.preprocessing
        torch.nn.Module.to(model, self.device)
        self.model, self.tokenizer = model.eval(), tokenizer
        self.labels: list[str] = model.config.labels
        self.dimensions = tuple(model.config.dimensions)
        self.reads = set(parse_subset(model.config.modalities))
        self.confidence = read_confidence(Path(model_folder))
        in_front = isinstance(model, WithEncoders)
        self.inputs: Sequence[str] = model.inputs if in_front else FAMILIES.get(model.config.model_type).inputs
        names = ("max_seconds", "video_hz", "image_size", "max_tokens")
        self.reading = _Reading(**{name: made_by[name] for name in names})

    def __len__(self) -> int:
        return len(self.shards)

    def records(self) -> Iterator[dict[str, Any]]:
        """An answer for each utterance, in the order of the shards; `{"input", "error"}` where one cannot be read.

        They come once all are known: utterances of one length are answered together.

        Raises:
            UserError: two have the same key, or the model's answers are not numbers.
        """
        utterances = self.shards.utterances
        if len({utterances[number].key for number in range(len(self))}) < len(self):
            raise UserError("--input: two utterances have the same key; answer the folders one by one")
        found: dict[str, dict[str, Any]] = {}
        for rows in self._batches():
            found |= rows
        for number in range(len(self.shards)):
            meta = utterances[number]
            row = found.get(meta.key)
            if row is None:
                yield {"input": meta.key, "error": f"{meta.key}: cannot be read; see `dual-hpc inspect`"}
            else:
                yield self._answer(meta, **row).to_json()

    def _batches(self) -> Iterator[dict[str, dict[str, Any]]]:
        """Key -> probabilities, and values of dimensions, batch by batch."""
        numbers = np.arange(len(self.shards))
        labels = np.full(len(numbers), _NO_LABEL)
        loader = EvalLoader(self.shards, numbers, labels, self.reading, self.tokenizer)
        try:
            for batch in loader:
                with torch.inference_mode():
                    output = self.model(**{name: batch[name].to(self.device) for name in self.inputs if name in batch})
                rows, values = finite_rows(output, self.dimensions)
                each = zip(batch["keys"], batch["valid"].tolist(), rows, values, strict=True)
                yield {key: {"row": row, "dimensions": told} for key, valid, row, told in each if valid}
        finally:
            loader.close()

    def _answer(self, meta: Utterance, row: list[float], dimensions: dict[str, float]) -> Prediction:
        there = {modality for modality in Modality if getattr(meta, f"has_{modality}")}
        used = [str(modality) for modality in Modality if modality in there & self.reads]
        nothing = ["the utterance has no modality that the model reads: the answer is the model's prior"]
        return Prediction(
            input=meta.key,
            label=self.labels[row.index(max(row))],
            probabilities=dict(zip(self.labels, row, strict=True)),
            modalities=used,
            duration=round(meta.duration, 3),
            warnings=[] if used else nothing,
            end=round(min(meta.duration, self.reading.max_seconds), 3),
            dimensions=dimensions,
            confidence=None if self.confidence is None else round(self.confidence.of(row), 4),
        )
