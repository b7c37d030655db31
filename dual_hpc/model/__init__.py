"""Models of emotion: families, encoders, losses, tokenizer, and what builds, saves and loads them.

The names below load torch and transformers when they are first used; `family`, `encoders.registry` and
`losses.registry` know all names without.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dual_hpc.model.build import build_model
    from dual_hpc.model.dual.configuration import DualConfig
    from dual_hpc.model.dual.model import DualForEmotionClassification
    from dual_hpc.model.dual.output import DualOutput
    from dual_hpc.model.emotion_config import EmotionConfig
    from dual_hpc.model.emotion_model import EmotionModel
    from dual_hpc.model.saved import load_model, read_description, save_model
    from dual_hpc.model.tokenizer import build_tokenizer, load_tokenizer

_PLACES = {
    "DualConfig": "dual.configuration",
    "DualForEmotionClassification": "dual.model",
    "DualOutput": "dual.output",
    "EmotionConfig": "emotion_config",
    "EmotionModel": "emotion_model",
    "build_model": "build",
    "build_tokenizer": "tokenizer",
    "load_model": "saved",
    "load_tokenizer": "tokenizer",
    "read_description": "saved",
    "save_model": "saved",
}

__all__ = [
    "DualConfig",
    "DualForEmotionClassification",
    "DualOutput",
    "EmotionConfig",
    "EmotionModel",
    "build_model",
    "build_tokenizer",
    "load_model",
    "load_tokenizer",
    "read_description",
    "save_model",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
