"""DUAL: configuration, model, tokenizer, and what builds, saves and loads them. Needs torch, numpy and transformers."""

from dual_hpc.model.assembly import build_model
from dual_hpc.model.dual.configuration import DualConfig
from dual_hpc.model.dual.model import DualForEmotionClassification
from dual_hpc.model.output import DualOutput
from dual_hpc.model.saved import load_model, save_model
from dual_hpc.model.tokenizer import build_tokenizer, load_tokenizer

from transformers.utils.logging import disable_progress_bar  # isort: skip  (after the torchaudio seam)

disable_progress_bar()  # reading or writing these weights takes a moment, and logs are not terminals

__all__ = [
    "DualConfig",
    "DualForEmotionClassification",
    "DualOutput",
    "build_model",
    "build_tokenizer",
    "load_model",
    "load_tokenizer",
    "save_model",
]
