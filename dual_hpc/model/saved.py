"""A finished model on disk: `config.json`, `model.safetensors` and the tokenizer's files in one directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dual_hpc.model.dual.model import DualForEmotionClassification
from dual_hpc.model.tokenizer import load_tokenizer


def save_model(model: DualForEmotionClassification, tokenizer: Any, folder: str | Path) -> None:
    """Write a model that `load_model` reads, tokenizer included (None where the model has no text encoder)."""
    model.save_pretrained(folder)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)


def load_model(folder: str | Path) -> tuple[DualForEmotionClassification, Any]:
    """The model of a directory in evaluation mode, and its tokenizer (None if it does not read text).

    Raises:
        UserError: the directory holds something else, or is incomplete.
    """
    model = DualForEmotionClassification.from_pretrained(folder)
    reads_words = model.config.use_text and not model.config.reads_features
    return model.eval(), load_tokenizer(folder) if reads_words else None
